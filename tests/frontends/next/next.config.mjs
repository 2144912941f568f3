export default {
  // As in a new app: a Server Component with a request's data must be inside Suspense.
  cacheComponents: true,
  partialPrefetching: true,
  // The packages of Next.js are in the folder above.
  turbopack: { root: `${import.meta.dirname}/..` },
};

// The packages of Next.js are in the folder above.
export default { turbopack: { root: `${import.meta.dirname}/..` } };

// Faults between the page and the service. Requests without a fault reach the service.
import { API_URL, PAGE_URL } from "./scenario.mjs";

export const TASKS = /\/tasks$/;
/** The list, and the feed of changes, which reads a list again that has failed. */
export const LISTS = /\/tasks(\/changes)?$/;

/** Gives the first requests of a method and a path these faults, and returns a list of all of them. */
export async function faults(context, method, path, ...faults) {
  const requests = [];
  await context.route(
    (url) => url.origin === API_URL && path.test(url.pathname),
    async (route) => {
      const request = route.request();
      if (request.method() !== method) return route.fallback();
      requests.push(request);
      await (faults.shift() ?? ((each) => each.continue()))(route);
    },
  );
  return requests;
}

/** The service carries the request out, and its answer is lost. */
export async function lostAnswer(route) {
  await route.fetch();
  await route.abort();
}

/** Returns a fault that waits until `release` is called. */
export function held() {
  const { promise, resolve } = Promise.withResolvers();
  return Object.assign((route) => promise.then(() => route.continue()), { release: resolve });
}

const CORS = { "Access-Control-Allow-Origin": PAGE_URL, "Access-Control-Expose-Headers": "Retry-After, X-Request-Id" };

/** An answer of the service, such as one that tests cannot cause. */
export function problem(status, type, headers = {}) {
  const body = { type: `/problems/${type}`, title: type, status, detail: "Text.", instance: "/requests/1", request_id: "1" };
  return (route) => route.fulfill({ status, headers: { ...CORS, ...headers }, contentType: "application/problem+json", json: body });
}

export const badGateway = (route) =>
  route.fulfill({ status: 502, headers: CORS, contentType: "text/html", body: "<h1>502 Bad Gateway</h1>" });

// Calls fetch() on a page, once for each of the given calls, and prints what the page could read of each answer, and
// all headers that the browser received.
import { argument, onPage } from "./chromium.mjs";

const { url, calls } = argument();

async function read({ url, ...options }) {
  try {
    const answer = await fetch(url, options);
    return { status: answer.status, headers: Object.fromEntries(answer.headers), text: await answer.text() };
  } catch (error) {
    return { error: error.name };
  }
}

await onPage(url, async (page) => {
  const received = [];
  page.on("response", (response) => {
    if (response.request().method() !== "OPTIONS") received.push(response);
  });
  const answers = [];
  for (const call of calls) {
    received.length = 0;
    const answer = await page.evaluate(read, call);
    answers.push({ ...answer, received: (await received[0]?.allHeaders()) ?? {} });
  }
  return answers;
});

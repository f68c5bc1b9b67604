// Feeds a text to a contender, a frame of it in each turn, and lays the page out after each.

window.contenders = {};

/** Until the page has done what it was asked to: work that a contender puts off is its own, too. */
const done = () => scheduler.postTask(() => {}, { priority: "background" });
const idle = () => new Promise((resolve) => requestIdleCallback(resolve));

/** Opens a contender in an empty place of the page, or in one that is not on it. */
window.openContender = async (name, laidOut) => {
  const host = document.createElement("div");
  host.className = "host";
  document.body.replaceChildren(...(laidOut ? [host] : []));
  window.current = { host, contender: window.contenders[name](host) };
  await idle();
};

/** Returns the longest task (ms) and how many characters are shown at the end. */
window.race = async (text, size) => {
  const { host, contender } = window.current;
  let longest = 0;
  const observer = new PerformanceObserver(() => {});
  observer.observe({ type: "longtask" });
  const turn = async (act) => {
    const start = performance.now();
    act();
    host.getBoundingClientRect();
    longest = Math.max(longest, performance.now() - start);
    await done();
  };
  for (let at = 0; at < text.length; at += size) {
    await turn(() => contender.add(text.slice(at, at + size)));
  }
  await turn(() => contender.end());
  await idle();
  host.getBoundingClientRect();
  const tasks = observer.takeRecords().map((entry) => entry.duration);
  observer.disconnect();
  return { longest: Math.max(longest, ...tasks), shown: host.textContent.length };
};

window.closeContender = async () => {
  window.current.contender.close();
  document.body.replaceChildren();
  await idle();
};

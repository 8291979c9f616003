// One job's stream, for as long as it takes: it goes on from its cursor after whatever happens to
// the line, the server or the page.

const TYPES = [
  "connected", "reset", "status_update", "thinking_update", "attempt", "report_partial",
  "analysis_complete", "error", "done",
];
const FIRST_WAIT = 500;
const LONGEST_WAIT = 10000;

/**
 * Follow `url` from `cursor` on. `on.event(type, fields)` gets each event; `on.line(isThere)` tells
 * whether the line is there; `on.gone()` is asked what to do where the server ended the stream for
 * good (a status other than 200). Returns a function that stops it.
 */
export function follow(url, cursor, intervalSeconds, on) {
  let source = null, timer = 0, wait = FIRST_WAIT, heard = 0, isOver = false;

  function open() {
    clearTimeout(timer);
    source?.close();
    if (isOver) return;
    heard = Date.now();
    const after = cursor ? `&after=${encodeURIComponent(cursor)}` : "";
    source = new EventSource(url + after);
    for (const type of TYPES) source.addEventListener(type, take);
    source.onerror = lost;
  }

  function take(event) {
    heard = Date.now();
    if (!(event instanceof MessageEvent) || typeof event.data !== "string") return lost();
    if (event.type === "reset") cursor = "";
    if (event.lastEventId) cursor = event.lastEventId;
    wait = FIRST_WAIT;
    on.line(true);
    let fields;
    try { fields = JSON.parse(event.data); } catch { return; }
    if (event.type === "done") stop();
    on.event(event.type, fields);
  }

  function lost() {
    if (isOver) return;
    on.line(false);
    const isClosed = source.readyState === EventSource.CLOSED;
    source.close();
    clearTimeout(timer);
    timer = setTimeout(isClosed ? ask : open, wait * (0.5 + Math.random() / 2));
    wait = Math.min(LONGEST_WAIT, wait * 2);
  }

  async function ask() {
    if (!(await on.gone())) open();
  }

  /** Look at once: another network makes no use of the old line, however open it seems. */
  function wake(event) {
    const isSilent = Date.now() - heard > 1000 * (intervalSeconds + 2);
    const isLost = source.readyState !== EventSource.OPEN || event.type === "online";
    if (isOver || document.visibilityState === "hidden" || !(isSilent || isLost)) return;
    wait = FIRST_WAIT;
    open();
  }

  function watch() {
    if (Date.now() - heard > 3000 * intervalSeconds + 2000) { on.line(false); open(); }
  }

  const watching = setInterval(watch, 1000 * Math.max(1, intervalSeconds));
  const wakes = [[document, "visibilitychange"], [window, "pageshow"], [window, "online"]];
  for (const [target, name] of wakes) target.addEventListener(name, wake);

  function stop() {
    isOver = true;
    source?.close();
    clearTimeout(timer);
    clearInterval(watching);
    for (const [target, name] of wakes) target.removeEventListener(name, wake);
  }

  open();
  return stop;
}

// node follow.mjs LIBRARY URL : follow a stream with a library of npm as its users do, and print
// each event as a line of JSON: {type, id, data}. Ends at `done`, as clients of Mondrian do.
import {createRequire} from 'module';

const require = createRequire(import.meta.url);
const [library, url] = process.argv.slice(2);
const TYPES = ['connected', 'status_update', 'snapshot', 'thinking_update', 'token', 'reset',
  'report_partial', 'attempt', 'analysis_complete', 'error', 'done'];

function take(type, id, data) {
  console.log(JSON.stringify({type, id, data}));
  if (type === 'done') setTimeout(() => process.exit(0), 50);
}

function listen(source) {
  for (const type of TYPES) {
    source.addEventListener(type, (event) => {
      if (event.data !== undefined) take(type, event.lastEventId ?? '', event.data);
    });
  }
}

function fakeBrowser() {
  globalThis.window = globalThis;
  globalThis.document = {
    readyState: 'complete', hidden: false, addEventListener() {}, removeEventListener() {},
  };
}

const followers = {
  eventsource2: () => listen(new (require('eventsource2'))(url)),
  eventsource3: async () => listen(new (await import('eventsource3')).EventSource(url)),
  eventsource4: async () => listen(new (await import('eventsource4')).EventSource(url)),
  'eventsource-client': async () => {
    const {createEventSource} = await import('eventsource-client');
    createEventSource({url, onMessage: ({event, id, data}) => take(event, id ?? '', data)});
  },
  'fetch-event-source': async () => {
    fakeBrowser();
    const {fetchEventSource} = require('@microsoft/fetch-event-source');
    await fetchEventSource(url, {
      openWhenHidden: true,
      onmessage: ({event, id, data}) => event && take(event, id ?? '', data),
      onerror: () => 200,
    });
  },
  'event-source-polyfill': () => {
    fakeBrowser();
    listen(new (require('event-source-polyfill').EventSourcePolyfill)(url));
  },
  'reconnecting-eventsource': async () => {
    fakeBrowser();
    globalThis.EventSource = (await import('eventsource3')).EventSource;
    const made = require('reconnecting-eventsource');
    listen(new (made.default ?? made)(url));
  },
};

await followers[library]();

// timeline_dom.js -- runs a page of timeline.h without a browser, for timeline_test.py: `node timeline_dom.js PAGE`.
//
// A DOM as small as the script needs: elements by id, and listeners that are called by hand. Prints as JSON what is drawn at first
// ("whole"), after zooming in on the middle ("near"), and after a click there ("rows").
'use strict';
const text = require('fs').readFileSync(process.argv[2], 'utf8');
const cut = (from, to) => text.split(from)[1].split(to)[0];
const elements = {}, frames = [], listeners = {};

function element(id) {
  return elements[id] = elements[id] || {id, innerHTML: '', textContent: '', style: {}, listeners: {}, attributes: {}, clientWidth: 1200, clientHeight: 400,
    addEventListener(name, f) { this.listeners[name] = f; },
    setAttribute(name, value) { this.attributes[name] = value; },
    setPointerCapture() {},
    getBoundingClientRect: () => ({left: 0, top: 0, width: 1200, height: 800})};
}

globalThis.document = {getElementById: element, addEventListener(name, f) { listeners[name] = f; }, documentElement: {clientWidth: 1200}};
globalThis.requestAnimationFrame = f => frames.push(f);
globalThis.addEventListener = () => {};
element('data').textContent = cut('id=data>', '</script>');
const paint = () => { while (frames.length) frames.shift()(); };

new Function(cut('</script>\n<script>\n', '</script></body>'))();
paint();
const out = {about: element('about').innerHTML, page: element('page').innerHTML, whole: element('chart').innerHTML,
  overview: element('overview').innerHTML, height: element('chart').attributes.height};
const chart = element('chart').listeners, at = {clientX: 600, clientY: 300, pointerId: 1, preventDefault() {}};
for (let i = 0; i < 12; i++) chart.wheel({...at, deltaX: 0, deltaY: -120, deltaMode: 0});
paint();
out.near = element('chart').innerHTML;
chart.pointerdown(at);
chart.pointerup(at);
paint();
out.rows = element('rows').innerHTML;
out.around = element('around').textContent;
listeners.click({target: {closest: () => ({dataset: {kind: 'agreed'}, setAttribute() {}})}});
listeners.keydown({key: '0', target: {}});
paint();
out.without = element('chart').innerHTML;
console.log(JSON.stringify(out));

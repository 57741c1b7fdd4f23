// timeline.js -- draws a run of the simulated swarm (timeline.h) from the JSON in its page.
'use strict';
(() => {
const data = JSON.parse(document.getElementById('data').textContent);
const {world, workers, doing, histories} = data;
const LEFT = world.far ? 124 : 76, AXIS = 22, LANE = 36, BAR = 17, RIGHT = 8; // pixels; a lane: sides, marks, then its bar
const END = Math.max(1, world.end * 1.01);
const NARROWEST = 0.02; // seconds
const ROWS = 60; // of the table, before the moment and after it

// Notes that are drawn, by what they tell; the others are in the table alone.
const KINDS = {
  fork: {title: 'fork, twin', names: ['fork', 'digest_mismatch', 'clone', 'copy', 'other_run'], shape: 'M0-6L6 0 0 6-6 0Z'},
  failed: {title: 'failed', names: ['reduce.failed', 'sync_failed', 'not_finite', 'match.withdrawn'],
    shape: 'M-5-5-3-5 0-2 3-5 5-5 5-3 2 0 5 3 5 5 3 5 0 2-3 5-5 5-5 3-2 0-5-3Z'},
  suspect: {title: 'suspected, dead', names: ['suspect', 'dead', 'reduce.suspect', 'reduce.still', 'accused', 'reach'], shape: 'M0-5L5 4-5 4Z'},
  solo: {title: 'alone', names: ['solo'], shape: 'M-4-4H4V4H-4Z'},
  agreed: {title: 'agreed', names: ['agreed'], shape: 'M-3 0A3 3 0 1 1 3 0A3 3 0 1 1-3 0Z'},
  joined: {title: 'behind, joined', names: ['behind', 'joined'], shape: 'M-5-4H5L0 5Z'},
  life: {title: 'starts, ends', names: ['starts', 'crashes', 'has finished', 'wakes', 'left', 'done'], shape: 'M-2-5H2V5H-2Z'},
};
const kindOf = {};
for (const kind in KINDS) for (const name of KINDS[kind].names) kindOf[name] = kind;

const shown = Object.fromEntries(Object.keys(KINDS).map(kind => [kind, true]));
let from = 0, to = END; // what is on the screen
let moment = world.ok ? null : world.end, picked = -1; // clicked: time, node
let words = '', onlyPicked = false;
let width = 1000;

// ---- text ----

const escape = text => String(text).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;');
const time = t => (Math.round(t * 1000) / 1000).toFixed(3) + ' s';
const took = (a, b) => +(b - a).toPrecision(3) + ' s';
const rate = mbps => mbps < 1 ? +(mbps * 1000).toPrecision(2) + ' kbit/s' : +mbps.toPrecision(3) + ' Mbit/s';
const list = nodes => nodes.length ? nodes.join(', ') : 'none';

function clock(t, step) { // on the axis
  if (world.end < 600) return +t.toFixed(step < 1 ? 2 : 0) + ' s';
  const h = Math.floor(t / 3600), m = Math.floor(t / 60) % 60, s = t % 60;
  const two = n => (n < 10 ? '0' : '') + n;
  return (h ? h + ':' + two(m) : m) + ':' + two(+s.toFixed(step < 1 ? 2 : 0));
}

// ---- the data, sorted for drawing ----

const spansOf = workers.map(() => []);
for (const s of data.spans) spansOf[s[0]].push(s);
for (const spans of spansOf) spans.sort((a, b) => a[2] - b[2]);
const notes = data.notes.map(([t, node, name, text]) => ({t, node, name, text, kind: kindOf[name]}));
const steps = histories.map((h, i) => ({...h, index: i, taken: []}));
for (const [t, node, history, adopted] of data.outer) steps[history].taken.push({t, node, adopted});
for (const s of steps) s.taken.sort((a, b) => a.node - b.node);

// Faults that overlap get rows of their own above the lanes.
const faults = data.faults.map(f => ({...f, to: Math.max(f.from, Math.min(f.to, world.end))})).sort((a, b) => a.from - b.from);
const rowEnds = [];
for (const f of faults) {
  let row = rowEnds.findIndex(end => end < f.from);
  if (row < 0) row = rowEnds.length;
  rowEnds[row] = Math.max(f.to, f.from + END * .085) + END / 200; // room for its name when all of the run is on the screen
  f.row = row;
}
const TOP = AXIS + 18 + 17 * rowEnds.length;
const HEIGHT = TOP + LANE * workers.length + 6;

function others(side) { return workers.map((_, i) => i).filter(i => !side.includes(i)); }

function faultText(f) {
  const where = f.kind === 'partition' ? `nodes ${list(f.side)} | ${list(others(f.side))}` :
    f.kind === 'one-way' ? `nodes ${list(f.side)} are not heard by ${list(others(f.side))}` : `node ${f.node}${f.freezes ? ', its clock stands still, too' : ''}`;
  return `${f.kind}, ${where}`;
}

// ---- the chart ----

const x = t => LEFT + (t - from) / (to - from) * (width - LEFT - RIGHT);
const timeAt = px => from + (px - LEFT) / (width - LEFT - RIGHT) * (to - from);
const laneY = node => TOP + LANE * node;
const barY = node => laneY(node) + LANE - BAR - 3;
const clip = px => Math.max(LEFT, Math.min(width - RIGHT, px)).toFixed(1);
const inView = (a, b) => b >= from && a <= to;

function ticks() {
  const steps = [.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
  const wanted = (to - from) / Math.max(2, (width - LEFT) / 90);
  const step = steps.find(s => s >= wanted) || 14400;
  let out = '';
  for (let k = Math.ceil(from / step); k * step <= to; k++)
    out += `<path class=grid d="M${clip(x(k * step))} ${AXIS - 5}V${HEIGHT}"/><text x="${clip(x(k * step))}" y="${AXIS - 8}" text-anchor=middle class=soft>` +
      `${clock(k * step, step)}</text>`;
  return out;
}

function drawFaults() {
  let out = '';
  for (const f of faults) {
    if (!inView(f.from, f.to + (to - from) / 20)) continue;
    const y = AXIS + 17 * f.row, a = +clip(x(f.from)), w = Math.max(2, clip(x(f.to)) - a);
    const tip = escape(`${faultText(f)}\nfrom ${time(f.from)}` + (f.to > f.from ? `, for ${took(f.from, f.to)}` : '') + `\nplanned fault ${f.plan}`);
    out += `<rect class=fault x="${a}" y="${y}" width="${w.toFixed(1)}" height=14 data-tip="${tip}"/>`;
    out += `<text x="${a + 3}" y="${y + 11}">${f.plan}: ${escape(f.kind)}${f.node >= 0 ? ' ' + f.node : ''}</text>`;
    if (f.side.length) out += `<rect class=band x="${a}" y="${TOP}" width="${w.toFixed(1)}" height="${LANE * workers.length}"/>`;
  }
  return out;
}

// The sides of a partition, and what is wrong with this node alone.
function drawTroubles(node) {
  let out = '';
  for (const f of faults) {
    if (!inView(f.from, f.to)) continue;
    const a = +clip(x(f.from)), w = Math.max(1.5, clip(x(f.to)) - a).toFixed(1), tip = escape(`${faultText(f)}, ${took(f.from, f.to)}`);
    if (f.side.length)
      out += `<rect class="${f.side.includes(node) ? 'inside' : 'outside'}" x="${a}" y="${laneY(node) + 1}" width="${w}" height=3 data-tip="${tip}"/>`;
    if (f.node === node && (f.kind === 'hang' || f.kind === 'deaf')) {
      out += `<rect class=hatched x="${a}" y="${barY(node) - 2}" width="${w}" height="${BAR + 4}" data-tip="${tip}"/>`;
      if (w > 40) out += `<text x="${a + 4}" y="${barY(node) - 4}" class=soft>${f.kind === 'hang' ? 'hung' : 'deaf'}</text>`;
    }
  }
  return out;
}

function drawLane(node) {
  const y = barY(node);
  let out = `<rect class="lane${node === picked ? ' picked' : ''}" x="${LEFT}" y="${y}" width="${width - LEFT - RIGHT}" height="${BAR}"/>`;
  let drawn = -1; // the right end of what stands already: shorter spans between are not seen
  for (const [, what, a, b, epoch] of spansOf[node]) {
    if (!inView(a, b)) continue;
    const left = +clip(x(a)), right = +clip(x(b));
    if (right - drawn < .6) continue;
    drawn = right;
    const tip = escape(`node ${node}: ${doing[what]}, epoch ${epoch}\n${time(a)} to ${time(b)}, ${took(a, b)}`);
    const w = Math.max(.6, right - left);
    if (doing[what] === 'down') out += `<path class=dead d="M${left} ${y + BAR / 2}H${right}"/>`;
    out += `<rect class="${doing[what]}" x="${left}" y="${y}" width="${w.toFixed(1)}" height="${BAR}" data-tip="${tip}" pointer-events=all />`;
    const full = `${doing[what]} ${epoch}`;
    const label = doing[what] === 'down' ? (w > 40 ? 'down' : '') : w > 7 * full.length ? full : w > 8 * String(epoch).length + 4 ? epoch : '';
    if (label !== '') out += `<text x="${(left + w / 2).toFixed(1)}" y="${y + BAR - 5}" text-anchor=middle>${label}</text>`;
  }
  return out;
}

function drawNames() {
  let out = `<rect x=0 y="${TOP}" width="${LEFT - 2}" height="${LANE * workers.length}" style="fill:var(--paper)"/>`;
  workers.forEach((w, node) => {
    const speed = `${+(w.step * 1000).toFixed(0)} ms a step\nup ${rate(w.mbps)}` + (w.down ? `, down ${rate(w.down)}` : '');
    out += `<text class=name x=4 y="${barY(node) + 8}">node ${node}</text><text class=soft x=4 y="${barY(node) + 19}">` +
      `${w.absent ? 'left out' : +(w.step * 1000).toFixed(0) + ' ms' + (world.far ? ', ' + rate(w.mbps) : '')}</text>` +
      `<rect x=0 y="${laneY(node)}" width="${LEFT - 4}" height="${LANE}" fill=none pointer-events=all data-node="${node}" data-tip="${escape(speed)}"/>`;
  });
  return out;
}

function stepText(s) {
  return `outer step to epoch ${s.epoch}, lineage ${s.lineage}\n${s.members.length} contributions: ${list(s.members)}\n` +
    `${s.tokens} tokens in all` + (s.won ? '' : '\na fork: not in the past of the longest history');
}

function drawSteps() {
  let lines = '', points = '';
  for (const s of steps) {
    const now = s.taken.filter(p => inView(p.t, p.t)), forked = s.won ? '' : ' forked';
    const together = s.taken.filter(p => !p.adopted);
    if (together.length > 1 && together.some(p => inView(p.t, p.t)))
      lines += `<path class="join${forked}" d="M${together.map(p => clip(x(p.t)) + ' ' + (barY(p.node) + BAR / 2)).join('L')}"/>`;
    for (const p of now) {
      const tip = escape(`node ${p.node} ${p.adopted ? 'adopts' : 'applies'} epoch ${s.epoch}, ${time(p.t)}\n${stepText(s)}`);
      points += `<circle class="outer${forked}${p.adopted ? ' taken' : ''}" cx="${clip(x(p.t))}" cy="${barY(p.node) + BAR / 2}" r="${p.adopted ? 3.5 : 3}" ` +
        `data-tip="${tip}"/>`;
    }
  }
  return lines + points;
}

// Marks of one kind on one lane that would cover each other become one.
function drawMarks() {
  const places = new Map();
  for (const n of notes) {
    if (!n.kind || !shown[n.kind] || n.node < 0 || !inView(n.t, n.t)) continue;
    const key = `${n.node} ${n.kind} ${Math.round(x(n.t) / 8)}`;
    if (places.has(key)) places.get(key).push(n);
    else places.set(key, [n]);
  }
  let out = '';
  for (const here of places.values()) {
    const n = here[0], told = here.slice(0, 12).map(m => `${time(m.t)}  ${m.name} ${m.text}`);
    if (here.length > 12) told.push(`and ${here.length - 12} more`);
    out += `<path class="mark m-${n.kind}" transform="translate(${clip(x(n.t))} ${laneY(n.node) + 10})" d="${KINDS[n.kind].shape}" ` +
      `data-tip="${escape(`node ${n.node}\n` + told.join('\n'))}"/>`;
  }
  return out;
}

function drawLines() {
  let out = '';
  if (world.calm !== undefined && inView(world.calm, world.calm))
    out += `<path class=calm d="M${clip(x(world.calm))} ${AXIS}V${HEIGHT}"/><text x="${+clip(x(world.calm)) + 4}" y="${TOP - 5}" class=soft>calm</text>`;
  if (moment !== null && inView(moment, moment)) out += `<path class=cursor d="M${clip(x(moment))} ${AXIS - 4}V${HEIGHT}"/>`;
  if (!world.ok && inView(world.end, world.end)) {
    const at = +clip(x(world.end)), room = Math.floor((at - LEFT) / 6.5), text = world.violation;
    out += `<path class=broken d="M${at} ${AXIS - 4}V${HEIGHT}" data-tip="${escape(text)}"/>` +
      `<text class=broken x="${at - 5}" y="${TOP - 5}" text-anchor=end>${escape(text.length > room ? text.slice(0, Math.max(0, room - 1)) + '…' : text)}</text>`;
  }
  return out;
}

const defs = '<defs><pattern id=hatch width=6 height=6 patternUnits=userSpaceOnUse><path d="M0 6L6 0"/></pattern></defs>';

function drawChart() {
  const lanes = workers.map((_, node) => drawLane(node) + drawTroubles(node)).join('');
  return defs + ticks() + drawFaults() + lanes + drawSteps() + drawMarks() + drawLines() + drawNames();
}

function drawOverview() {
  const tall = Math.max(2, Math.min(4, 60 / workers.length)), scale = (width - LEFT - RIGHT) / END;
  const at = t => LEFT + t * scale;
  let out = '';
  spansOf.forEach((spans, node) => {
    let drawn = -1;
    for (const [, what, a, b] of spans) {
      if (doing[what] === 'down' || at(b) - drawn < .7) continue;
      drawn = at(b);
      out += `<rect class="${doing[what]}" x="${at(a).toFixed(1)}" y="${(2 + node * tall).toFixed(1)}" width="${Math.max(.7, at(b) - at(a)).toFixed(1)}" height="${tall}"/>`;
    }
  });
  for (const f of faults)
    if (f.to > f.from) out += `<rect class=fault x="${at(f.from).toFixed(1)}" y=0 width="${Math.max(1, (f.to - f.from) * scale).toFixed(1)}" height=100 />`;
  return {svg: out + `<rect class=window x="${at(from).toFixed(1)}" y=0 width="${Math.max(2, (to - from) * scale).toFixed(1)}" height=100 />` +
    '<text x=4 y=14 class=soft>all of it</text>', height: 4 + tall * workers.length};
}

// ---- the table ----

function tableRows() {
  const at = moment === null ? 0 : moment, say = words.toLowerCase();
  const wanted = notes.filter(n => (!onlyPicked || picked < 0 || n.node === picked || n.node < 0) &&
    (!say || `${n.name} ${n.text}`.toLowerCase().includes(say)));
  let middle = wanted.findIndex(n => n.t >= at);
  if (middle < 0) middle = wanted.length;
  const first = Math.max(0, middle - ROWS);
  const rows = wanted.slice(first, middle + ROWS).map((n, i) =>
    `<tr data-at="${n.t}" data-node="${n.node}"${first + i === middle ? ' class=here' : ''}><td class=n>${time(n.t)}<td class=n>${n.t >= at ? '+' : '−'}` +
    `${Math.abs(n.t - at).toFixed(3)}<td>${n.node < 0 ? '' : n.node}<td>${escape(n.name)}<td>${escape(n.text)}`);
  return {rows, before: first, after: Math.max(0, wanted.length - middle - ROWS)};
}

// ---- the page ----

const $ = id => document.getElementById(id);

function about() {
  const met = Object.entries(world.faults).map(([kind, n]) => `${kind} ${n}`).join(', ') || 'no faults';
  const packets = Object.entries(world.packets).filter(([, p]) => p > 0).map(([kind, p]) => `${+(p * 100).toFixed(1)} % ${kind}`).join(', ');
  $('about').innerHTML = (world.ok ? '' : `<p class=violation><b>failed at ${time(world.end)}:</b> ${escape(world.violation)}</p>`) +
    `<p>${world.nodes} nodes, ${world.rounds} outer steps (${world.grouped} in groups), ${world.forks} forks seen, ${world.adoptions} adoptions, ` +
    `${time(world.end)}, ${world.events} events</p><p>${met}${packets ? `; packets until the calm: ${packets}` : ''}</p>` +
    `<p><code>${escape(world.repeat)}</code></p>`;
}

function legend() {
  const key = (shape, title) => `<span class=key><svg viewBox="-7 -7 14 14">${shape}</svg>${title}</span>`;
  let out = '<button data-do=in title="or the wheel, or +">+</button><button data-do=out title="or the wheel, or -">−</button>' +
    '<button data-do=all title="or 0">all of it</button><span class=gap></span>';
  for (const name of doing) out += key(`<rect class="${name}" x=-6 y=-5 width=12 height=10 />`, name);
  out += key('<path class=hatch d="M-6 6L6-6M-6 0L0-6M0 6L6 0"/>', 'hung, deaf') +
    key('<rect class=inside x=-6 y=-4 width=12 height=3 /><rect class=outside x=-6 y=2 width=12 height=3 />', 'sides of a cut') +
    key('<path class=join d="M0-7V7"/><circle class=outer r=3.5 />', 'outer step of a group') +
    key('<path class="join forked" d="M0-7V7"/><circle class="outer forked" r=3.5 />', 'of a fork') +
    key('<circle class="outer taken" r=4 />', 'state adopted') + '<span class=gap></span>';
  for (const kind in KINDS)
    out += `<button data-kind="${kind}" aria-pressed="${shown[kind]}"><svg viewBox="-7 -7 14 14"><path class="m-${kind}" d="${KINDS[kind].shape}"/></svg>` +
      `${KINDS[kind].title}</button>`;
  return out;
}

function drawTable() {
  const {rows, before, after} = tableRows();
  $('around').textContent = moment === null ? 'Events (click a moment above)' : `Events around ${time(moment)}`;
  $('rows').innerHTML = '<table><thead><tr><th>time<th>from there<th>node<th>event<th>details</thead><tbody>' +
    (before ? `<tr><td colspan=5>${before} earlier` : '') + rows.join('') + (after ? `<tr><td colspan=5>${after} later` : '') + '</tbody></table>';
  $('only').textContent = picked < 0 ? 'of all nodes' : onlyPicked ? `of node ${picked} alone` : `of all nodes; node ${picked} is picked`;
  const here = $('rows').querySelector && $('rows').querySelector('tr.here');
  if (here && here.offsetTop !== undefined) $('rows').scrollTop = here.offsetTop - $('rows').clientHeight / 2;
}

let asked = false;
function draw() { // at most once a frame
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    width = Math.max(400, $('chart').clientWidth || 1000);
    const small = drawOverview();
    for (const [id, svg, height] of [['chart', drawChart(), HEIGHT], ['overview', small.svg, small.height]]) {
      $(id).setAttribute('viewBox', `0 0 ${width} ${height}`);
      $(id).setAttribute('height', height);
      $(id).innerHTML = svg;
    }
  });
}

function look(a, b) {
  const span = Math.min(END, Math.max(NARROWEST, b - a));
  from = Math.max(0, Math.min(END - span, a));
  to = from + span;
  draw();
}

function zoom(factor, around) { look(around - (around - from) * factor, around + (to - around) * factor); }

function choose(t, node) {
  moment = Math.max(0, Math.min(world.end, t));
  if (node >= 0) picked = node;
  draw();
  drawTable();
}

function build() {
  $('page').innerHTML = `<div class=bar>${legend()}</div><div class=bar>wheel: zoom; drag, or shift and wheel: move; click: the events around that moment` +
    '</div><svg id=overview></svg><svg id=chart></svg><h2 id=around></h2><div class=bar><button data-do=only id=only></button>' +
    '<input type=text id=words placeholder="only with this text"></div><div class=wide id=rows></div><div id=tip hidden></div>';
}

function listen() {
  const chart = $('chart'), tip = $('tip');
  let grabbed = null, moved = false;
  const px = e => (e.clientX - chart.getBoundingClientRect().left) * width / (chart.getBoundingClientRect().width || width);
  const nodeAt = e => {
    const y = (e.clientY - chart.getBoundingClientRect().top) - TOP, node = Math.floor(y / LANE);
    return y >= 0 && node < workers.length ? node : -1;
  };
  chart.addEventListener('wheel', e => {
    e.preventDefault();
    const by = e.deltaMode === 1 ? 30 : 1, along = e.shiftKey ? e.deltaY || e.deltaX : e.deltaX;
    if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) look(from + along * by * (to - from) / width, to + along * by * (to - from) / width);
    else zoom(Math.exp(e.deltaY * by / 400), timeAt(Math.max(LEFT, px(e))));
  }, {passive: false});
  chart.addEventListener('pointerdown', e => {
    grabbed = {x: px(e), from, to};
    moved = false;
    chart.setPointerCapture(e.pointerId);
  });
  chart.addEventListener('pointermove', e => {
    if (!grabbed) return;
    const by = (grabbed.x - px(e)) / (width - LEFT - RIGHT) * (grabbed.to - grabbed.from);
    if (Math.abs(px(e) - grabbed.x) > 3) moved = true;
    if (moved) look(grabbed.from + by, grabbed.to + by);
  });
  chart.addEventListener('pointerup', e => {
    if (grabbed && !moved) choose(px(e) < LEFT ? moment === null ? from : moment : timeAt(px(e)), nodeAt(e));
    grabbed = null;
  });
  chart.addEventListener('dblclick', e => zoom(.3, timeAt(px(e))));
  const overview = $('overview');
  const jump = e => {
    const box = overview.getBoundingClientRect(), t = ((e.clientX - box.left) * width / box.width - LEFT) / (width - LEFT - RIGHT) * END;
    look(t - (to - from) / 2, t + (to - from) / 2);
  };
  overview.addEventListener('pointerdown', e => { overview.setPointerCapture(e.pointerId); jump(e); });
  overview.addEventListener('pointermove', e => { if (e.buttons) jump(e); });
  document.addEventListener('mousemove', e => {
    const what = e.target.closest && e.target.closest('[data-tip]');
    tip.hidden = !what;
    if (!what) return;
    tip.textContent = what.getAttribute('data-tip');
    tip.style.left = Math.min(e.pageX + 14, document.documentElement.clientWidth - Math.min(380, tip.offsetWidth) - 16) + 'px';
    tip.style.top = e.pageY + 16 + 'px';
  });
  document.addEventListener('click', e => {
    const on = e.target.closest && e.target.closest('[data-do],[data-kind],tr[data-at]');
    if (!on) return;
    const {do: act, kind, at, node} = on.dataset;
    if (kind) {
      shown[kind] = !shown[kind];
      on.setAttribute('aria-pressed', shown[kind]);
      draw();
    } else if (act === 'only') {
      onlyPicked = !onlyPicked;
      drawTable();
    } else if (act) control(act);
    else if (at) choose(+at, +node);
  });
  document.addEventListener('keydown', e => {
    if (e.target.tagName === 'INPUT') return;
    const act = {'+': 'in', '=': 'in', '-': 'out', '0': 'all', ArrowLeft: 'left', ArrowRight: 'right'}[e.key];
    if (act) control(act);
  });
  $('words').addEventListener('input', e => { words = e.target.value; drawTable(); });
  addEventListener('resize', draw);
}

function control(act) {
  const middle = moment !== null && inView(moment, moment) ? moment : (from + to) / 2, by = (to - from) / 4;
  if (act === 'in') zoom(.5, middle);
  if (act === 'out') zoom(2, middle);
  if (act === 'all') look(0, END);
  if (act === 'left') look(from - by, to - by);
  if (act === 'right') look(from + by, to + by);
}

about();
build();
listen();
draw();
drawTable();
})();

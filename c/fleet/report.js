// report.js -- draws the curves and events of a report (report.h) from the JSON in its page, with dygraphs.
'use strict';
(() => {
const data = JSON.parse(document.getElementById('data').textContent);
const workers = data.workers.sort((a, b) => a.name.localeCompare(b.name, undefined, {numeric: true}));
const place = document.getElementById('charts');
const KEY = 'shoal ' + document.title;
const BINS = 1500; // of the x axis: about what a screen can show
const dark = matchMedia('(prefers-color-scheme: dark)');
let state = {x: 'time', smooth: 0, hidden: {}, range: null};
try { state = Object.assign(state, JSON.parse(sessionStorage.getItem(KEY) || '{}')); } catch (e) { /* a private window */ }
let charts = [], busy = false;

function keep() {
  try { sessionStorage.setItem(KEY, JSON.stringify(state)); } catch (e) { /* then a reload forgets it */ }
}

function make(tag, attributes, ...inside) {
  const e = document.createElement(tag);
  Object.assign(e, attributes);
  e.append(...inside);
  return e;
}

function escape(text) {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
}

// Numbers as a person reads them.

function short(v) {
  if (v === 0) return '0';
  const a = Math.abs(v);
  if (a < 1e-3) return v.toExponential(2).replace(/\.?0*e/, 'e');
  for (const [unit, size] of [['T', 1e12], ['G', 1e9], ['M', 1e6], ['k', 1e4]])
    if (a >= size) return +(v / (unit === 'k' ? 1e3 : size)).toPrecision(4) + ' ' + unit;
  return '' + +v.toPrecision(5);
}

function duration(s) {
  const two = n => ('' + n).padStart(2, '0');
  const whole = Math.round(s), d = Math.floor(whole / 86400), h = Math.floor(whole / 3600) % 24, m = Math.floor(whole / 60) % 60;
  if (s < 60) return +s.toFixed(2) + ' s';
  if (d) return d + ' d ' + two(h) + ':' + two(m);
  return (h ? h + ':' + two(m) : m) + ':' + two(whole % 60);
}

const clock = s => new Date(data.t0_ms + s * 1000).toLocaleString();

const SPANS = [.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000,
  864000, 1728000, 4320000];

function timeTicks(a, b, pixels) {
  const wanted = (b - a) / Math.max(2, pixels / 90);
  const step = SPANS.find(s => s >= wanted) || SPANS[SPANS.length - 1];
  const ticks = [];
  for (let k = Math.ceil(a / step); k * step <= b; k++) ticks.push({v: k * step, label: duration(k * step)});
  return ticks;
}

// The axes.

function interpolate(xs, ys, x) {
  let low = 0, high = xs.length - 1;
  if (high < 0) return NaN;
  if (x <= xs[0]) return ys[0];
  if (x >= xs[high]) return ys[high];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle; else high = middle;
  }
  return ys[low] + (ys[high] - ys[low]) * (x - xs[low]) / (xs[high] - xs[low] || 1);
}

// Tokens of all workers together at a time.
const together = (() => {
  const end = Math.max(0, ...workers.map(w => w.steps.t[w.steps.t.length - 1] || 0));
  const ts = [], sums = [];
  for (let i = 0; i <= 2000; i++) {
    const t = end * i / 2000;
    ts.push(t);
    sums.push(workers.reduce((n, w) => n + (w.steps.t.length && t >= w.steps.t[0] ? interpolate(w.steps.t, w.steps.tokens, t) : 0), 0));
  }
  return t => interpolate(ts, sums, t);
})();

const stepAt = (w, t) => interpolate(w.steps.t, w.steps.step, t);
const axes = {
  time: {name: 'time', label: 'time since the first event', of: (w, t) => t, text: x => duration(x) + ' (' + clock(x) + ')'},
  tokens: {name: 'tokens', label: 'tokens of all workers together', of: (w, t) => together(t), text: x => short(x) + ' tokens'},
  step: {name: 'steps', label: 'global inner step', of: (w, t, step) => step === undefined ? stepAt(w, t) : step, text: x => 'step ' + +x.toFixed(1)},
};
if (workers.some(w => w.outers.t.length))
  axes.epoch = {name: 'epochs', label: 'epoch', of: (w, t, step) => axes.step.of(w, t, step) / data.every, text: x => 'epoch ' + +x.toFixed(2)};
if (!axes[state.x]) state.x = 'time';

// From the first event to the last.
function wholeRange() {
  let low = Infinity, high = -Infinity;
  for (const w of workers)
    for (const t of [w.steps.t[0], w.steps.t[w.steps.t.length - 1], w.net.t[w.net.t.length - 1], ...w.marks.map(m => m.t)]) {
      const x = t === undefined ? NaN : axes[state.x].of(w, t);
      if (x < low) low = x;
      if (x > high) high = x;
    }
  if (!(low <= high)) return [0, 1];
  const margin = (high - low) * .01 || 1;
  return [low - margin, high + margin];
}

// The curves: points are [x, y]; a y of NaN breaks the line, where a worker was away.

function points(w, part, key, transform) {
  const p = w[part], of = axes[state.x].of, list = [], n = p.t.length;
  const away = Math.max(10, 8 * (p.t[n - 1] - p.t[0]) / n);
  for (let i = 0; i < n; i++) {
    const y = p[key][i], x = of(w, p.t[i], p.step ? p.step[i] : undefined);
    if (p.t[i] === null || y === null || !isFinite(x)) continue;
    if (part !== 'outers' && i && p.t[i] - p.t[i - 1] > away) list.push([of(w, (p.t[i - 1] + p.t[i]) / 2), NaN]);
    list.push([x, transform ? transform(y) : y]);
  }
  return list;
}

function rates(w, key) {
  const p = w.net, of = axes[state.x].of, list = [];
  for (let i = 1; i < p.t.length; i++) {
    const dt = p.t[i] - p.t[i - 1], dy = p[key][i] - p[key][i - 1];
    if (dt > 0 && dy >= 0) list.push([of(w, p.t[i]), dy / dt > 0 || dt < 10 ? dy / dt : NaN]);
  }
  return list.filter(p => isFinite(p[0]));
}

const each = make => workers.map((w, i) => ({label: w.name, worker: i, points: make(w)}));

// The mean over the workers that measured at one step: after an averaging they hold the same model.
function validation() {
  const at = new Map();
  for (const w of workers)
    w.evaluations.t.forEach((t, i) => {
      const y = w.evaluations.loss[i], x = axes[state.x].of(w, t, w.evaluations.step[i]), key = w.evaluations.step[i];
      if (y === null || !isFinite(x)) return;
      const e = at.get(key) || {x, y: 0, n: 0}; // a late joiner measures step 0 late
      e.x = Math.min(e.x, x); e.y += y; e.n++;
      at.set(key, e);
    });
  return [...at.values()].map(e => [e.x, e.y / e.n]).sort((a, b) => a[0] - b[0]);
}

const kinds = [
  {title: 'Loss', unit: 'nats per token', tall: true, smooth: true, marks: true,
    curves: () => [...each(w => points(w, 'steps', 'loss')), {label: 'validation', points: validation(), strong: true}]},
  {title: 'Validation loss', unit: 'nats per token', curves: () => [{label: 'validation', points: validation(), strong: true}]},
  {title: 'Learning rate', unit: '', curves: () => each(w => points(w, 'steps', 'lr'))},
  {title: 'Speed', unit: 'tokens/s', zero: true, sum: true, curves: () => each(w => points(w, 'steps', 'rate'))},
  {title: 'Sent', unit: 'bytes/s', zero: true, sum: true, curves: () => each(w => rates(w, 'sent'))},
  {title: 'Received', unit: 'bytes/s', zero: true, sum: true, curves: () => each(w => rates(w, 'received'))},
  {title: 'Training paused', unit: 'ms per outer step', zero: true, dots: true, curves: () => each(w => points(w, 'outers', 'paused'))},
  {title: 'Members', unit: 'linked, itself included', zero: true, curves: () => each(w => points(w, 'net', 'peers', y => y + 1))},
];

function smoothed(list) {
  if (!state.smooth) return list;
  let mean = 0, weight = 0;
  return list.map(([x, y]) => {
    if (Number.isNaN(y)) return [x, y];
    mean = state.smooth * mean + (1 - state.smooth) * y;
    weight = state.smooth * weight + (1 - state.smooth);
    return [x, mean / weight];
  });
}

// Rows for dygraphs: all curves on one x axis of BINS cells, a cell's mean each.
function table(curves) {
  let low = Infinity, high = -Infinity;
  for (const c of curves) for (const [x] of c.points) { if (x < low) low = x; if (x > high) high = x; }
  if (low > high) return null;
  const width = (high - low) / BINS || 1, rows = new Map();
  curves.forEach((c, k) => {
    for (const [x, y] of c.points) {
      const cell = Math.floor((x - low) / width);
      let row = rows.get(cell);
      if (!row) rows.set(cell, row = {x, sums: new Float64Array(curves.length), counts: new Uint32Array(curves.length), breaks: new Uint8Array(curves.length)});
      if (Number.isNaN(y)) row.breaks[k] = 1;
      else { row.sums[k] += y; row.counts[k]++; }
    }
  });
  return [...rows.keys()].sort((a, b) => a - b).map(cell => {
    const row = rows.get(cell);
    return [row.x, ...Array.from(row.sums, (s, k) => row.counts[k] ? s / row.counts[k] : row.breaks[k] ? NaN : null)];
  });
}

// All workers together: each counts from its first row to its last with the value it had.
function addSum(rows) {
  const n = rows[0].length - 1, last = new Array(n).fill(0);
  for (let k = 0; k < n; k++) for (let i = 0; i < rows.length; i++) if (rows[i][k + 1] !== null) last[k] = i;
  const held = new Array(n).fill(null);
  return rows.map((row, i) => {
    let sum = 0;
    for (let k = 0; k < n; k++) {
      if (row[k + 1] !== null) held[k] = Number.isNaN(row[k + 1]) ? null : row[k + 1];
      if (held[k] !== null && i <= last[k]) sum += held[k];
    }
    return [...row, sum];
  });
}

// Colors for twenty workers and more: hues far apart, then dashes.
function color(i) {
  const hue = (210 + i * 137.508) % 360, odd = i % 2;
  return dark.matches ? `hsl(${hue},70%,${odd ? 72 : 60}%)` : `hsl(${hue},72%,${odd ? 32 : 43}%)`;
}
const dashes = i => i < 10 ? null : i < 20 ? [6, 3] : [2, 2];
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// The legend of a chart: what the pointer is at. Of many curves only the nearest is named.
function legend(d) {
  const shown = d.series.filter(s => s.isVisible);
  if (d.x === undefined || d.x === null)
    return shown.filter(s => s.label === 'validation' || s.label === 'all together')
      .map(s => `<i><span style="color:${s.color}">&#9644;</span> ${s.label}</i>`).join('');
  const near = shown.filter(s => s.y !== undefined && s.y !== null && !Number.isNaN(s.y));
  const named = near.length > 8 ? near.filter(s => s.isHighlighted || s.label === 'validation' || s.label === 'all together') : near;
  return `<i><b>${escape(axes[state.x].text(d.x))}</b></i>` + named.map(s =>
    `<i><span style="color:${s.color}">&#9644;</span> ${s.isHighlighted ? '<b>' : ''}${escape(s.label)} ${short(s.y)}${s.isHighlighted ? '</b>' : ''}</i>`).join('');
}

// Outer steps as faint lines, while they are few enough to be told apart.
function epochLines(context, area, g) {
  const most = workers.reduce((a, w) => w.outers.t.length > a.outers.t.length ? w : a, workers[0]);
  const [low, high] = g.xAxisRange();
  const at = most.outers.t.map((t, i) => [axes[state.x].of(most, t), most.outers.epoch[i]]).filter(([x]) => x >= low && x <= high);
  if (!at.length || area.w / at.length < 14) return;
  context.save();
  context.strokeStyle = css('--line');
  context.fillStyle = css('--soft');
  context.font = '10px system-ui, sans-serif';
  at.forEach(([x, epoch]) => {
    const left = Math.round(g.toDomXCoord(x)) + .5;
    context.beginPath();
    context.setLineDash([3, 3]);
    context.moveTo(left, area.y);
    context.lineTo(left, area.y + area.h);
    context.stroke();
    if (area.w / at.length > 26) context.fillText('' + Math.round(epoch), left + 2, area.y + 10);
  });
  context.restore();
}

// Events: a row for each kind, those that would overprint are one mark with their number.
const tip = make('div', {id: 'tip', hidden: true});
document.body.append(tip);

function showTip(event, list) {
  const named = list.slice(0, 8).map(m => escape(`${duration(m.t)}  ${workers[m.worker].name}: ${m.text}`));
  if (list.length > 8) named.push(`and ${list.length - 8} more`);
  tip.innerHTML = named.join('<br>');
  tip.hidden = false;
  const left = Math.min(event.pageX + 12, document.documentElement.clientWidth - tip.offsetWidth - 8);
  tip.style.left = Math.max(4, left) + 'px';
  tip.style.top = event.pageY + 14 + 'px';
}

const marks = workers.flatMap((w, i) => w.marks.map(m => Object.assign({worker: i}, m))).sort((a, b) => a.t - b.t);
const ROWS = ['start', 'join', 'crash', 'death', 'fork', 'dropped steps', 'failure', 'end'].filter(k => marks.some(m => m.kind === k));
const svg = (tag, attributes) => {
  const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const k in attributes) e.setAttribute(k, attributes[k]);
  return e;
};

function strip(g, to) {
  const area = g.getArea(), height = 20, [low, high] = g.xAxisRange();
  to.replaceChildren();
  to.setAttribute('height', ROWS.length * height + 4);
  ROWS.forEach((kind, row) => {
    const y = row * height + height / 2 + 2;
    to.append(svg('line', {x1: area.x, x2: area.x + area.w, y1: y, y2: y, stroke: css('--line')}));
    const name = svg('text', {x: area.x - 6, y: y + 4, 'text-anchor': 'end'});
    name.textContent = kind === 'dropped steps' ? 'dropped' : kind;
    to.append(name);
    const groups = [];
    for (const m of marks) {
      if (m.kind !== kind || state.hidden[workers[m.worker].name]) continue;
      const x = axes[state.x].of(workers[m.worker], m.t);
      if (!(x >= low && x <= high)) continue;
      groups.push({x: g.toDomXCoord(x), list: [m]});
    }
    groups.sort((a, b) => a.x - b.x);
    const apart = [];
    for (const m of groups) {
      const before = apart[apart.length - 1];
      if (before && m.x - before.x < 17) before.list.push(...m.list); else apart.push(m);
    }
    for (const m of apart) {
      const many = m.list.length > 1, same = m.list.every(e => e.worker === m.list[0].worker);
      const dot = svg('circle', {cx: m.x, cy: y, r: many ? 8 : 5, fill: many || !same ? (dark.matches ? '#6b7782' : '#5b6570') : color(m.list[0].worker)});
      for (const name of ['pointerenter', 'click']) dot.addEventListener(name, e => showTip(e, m.list));
      dot.addEventListener('pointerleave', () => { tip.hidden = true; });
      to.append(dot);
      if (!many) continue;
      const count = svg('text', {x: m.x, y: y + 3.5, class: 'count'});
      count.textContent = m.list.length > 99 ? '99+' : m.list.length;
      to.append(count);
    }
  });
}

// All charts show the same part of the x axis.
function follow(g) {
  if (busy) return;
  const whole = wholeRange(), range = g.isZoomed('x') ? g.xAxisRange() : whole; // a double click unzooms
  busy = true;
  for (const c of charts) {
    const other = c.graph.xAxisRange();
    if (other[0] !== range[0] || other[1] !== range[1]) c.graph.updateOptions({dateWindow: range});
    if (c.strip) strip(c.graph, c.strip);
  }
  busy = false;
  state.range = range[0] === whole[0] && range[1] === whole[1] ? null : range;
  keep();
}

function drawOne(kind, into) {
  let curves = kind.curves().filter(c => c.points.length);
  if (kind.smooth) curves = curves.map(c => c.strong ? c : Object.assign({}, c, {points: smoothed(c.points)}));
  let rows = table(curves);
  if (!rows) return;
  const labels = curves.map(c => c.label), looks = curves.map(c => c.strong ? css('--ink') : color(c.worker));
  if (kind.sum && curves.length > 1) {
    rows = addSum(rows);
    labels.push('all together');
    looks.push(css('--ink'));
  }
  const unit = kind.unit ? ` <small>${kind.unit}</small>` : '';
  const values = make('div', {className: 'values'}), plot = make('div', {className: 'plot'});
  const box = make('section', {className: kind.tall ? 'chart tall' : 'chart'}, make('h2', {innerHTML: kind.title + unit}), values, plot);
  into.append(box);
  const series = {};
  curves.forEach(c => {
    series[c.label] = c.strong ? {strokeWidth: 2.2, drawPoints: c.points.length < 60, pointSize: 3} : {strokePattern: dashes(c.worker)};
  });
  if (kind.dots && rows.length > 60) curves.forEach(c => { series[c.label] = {strokeWidth: 0, drawPoints: true, pointSize: 1.4}; });
  if (kind.sum) series['all together'] = {strokeWidth: 1.6, strokePattern: [5, 2]};
  const phone = plot.clientWidth < 500;
  const model = Object.assign({}, Dygraph.defaultInteractionModel);
  // One finger scrolls the page; two zoom.
  model.touchstart = (e, g, c) => { if (e.touches.length > 1) Dygraph.defaultInteractionModel.touchstart(e, g, c); };
  const chart = {kind, labels, strip: null};
  chart.graph = new Dygraph(plot, rows, {
    labels: ['x', ...labels], colors: looks, series, labelsDiv: values, legend: 'always', legendFormatter: legend,
    connectSeparatedPoints: true, strokeWidth: workers.length > 8 ? 1 : 1.3, highlightCircleSize: 3,
    highlightSeriesOpts: {strokeWidth: 2.4, highlightCircleSize: 4}, highlightSeriesBackgroundAlpha: 1,
    axisLineColor: css('--soft'), gridLineColor: css('--line'), gridLineWidth: .5, includeZero: !!kind.zero, interactionModel: model,
    xlabel: axes[state.x].label, ylabel: kind.unit || kind.title.toLowerCase(), xLabelHeight: 18, yLabelWidth: 16, rightGap: 12,
    visibility: labels.map(l => !state.hidden[l]), dateWindow: state.range || wholeRange(),
    axes: {
      x: Object.assign({axisLabelFormatter: short, pixelsPerLabel: phone ? 70 : 90}, state.x === 'time' ? {ticker: timeTicks} : {}),
      y: {axisLabelFormatter: short, axisLabelWidth: 56, pixelsPerLabel: 38},
    },
    underlayCallback: kind.marks ? epochLines : undefined,
    drawCallback: (g, first) => { if (!first) follow(g); },
  });
  if (kind.marks && marks.length) {
    chart.strip = svg('svg', {class: 'strip', role: 'img', 'aria-label': 'events'});
    box.append(chart.strip);
    strip(chart.graph, chart.strip);
  }
  charts.push(chart);
}

function draw() {
  for (const c of charts) c.graph.destroy();
  charts = [];
  tip.hidden = true;
  const chips = make('div', {className: 'chips'});
  workers.forEach((w, i) => {
    const chip = make('button', {className: 'chip', type: 'button'});
    const dash = svg('svg', {viewBox: '0 0 18 4'});
    dash.append(svg('line', {x1: 0, x2: 18, y1: 2, y2: 2, stroke: color(i), 'stroke-width': 3, 'stroke-dasharray': (dashes(i) || []).join(' ')}));
    chip.append(dash, w.name);
    chip.setAttribute('aria-pressed', !state.hidden[w.name]);
    chip.title = 'show or hide ' + w.name;
    chip.onclick = () => { state.hidden[w.name] = !state.hidden[w.name]; keep(); draw(); };
    chips.append(chip);
  });
  const choice = make('select', {id: 'axis'}, ...Object.keys(axes).map(k => make('option', {value: k, selected: k === state.x}, axes[k].name)));
  choice.onchange = () => { state.x = choice.value; state.range = null; keep(); draw(); };
  const slider = make('input', {id: 'smooth', type: 'range', min: 0, max: 0.99, step: 0.01, value: state.smooth});
  slider.onchange = () => { state.smooth = +slider.value; keep(); draw(); };
  const reset = make('button', {type: 'button'}, 'whole range');
  reset.onclick = () => { state.range = null; keep(); draw(); };
  const label = (text, e) => make('label', {htmlFor: e.id}, text + ' ', e);
  const bar = make('div', {className: 'bar'}, label('x axis', choice), label('smoothing', slider), reset);
  const big = make('div', {}), small = make('div', {className: 'small'});
  const height = place.offsetHeight; // so that the page does not jump while it is rebuilt
  place.style.minHeight = height + 'px';
  place.replaceChildren(bar, chips, big, small);
  for (const kind of kinds) drawOne(kind, kind.tall ? big : small);
  place.style.minHeight = '';
}

function listEvents() {
  const rows = marks.slice(-1000).map(m =>
    `<tr><td>${duration(m.t)}<td>${escape(workers[m.worker].name)}<td>${m.kind}<td>${escape(m.text)}`);
  const left = marks.length - rows.length + workers.reduce((n, w) => n + w.marks_left_out, 0);
  document.getElementById('events').innerHTML = '<table><thead><tr><th>time<th>worker<th>event<th>what</thead><tbody>' + rows.join('') +
    '</tbody></table>' + (left ? `<p>and ${left} earlier ones</p>` : '');
}

// Two logs of one name are told apart.
const names = {};
for (const w of workers) names[w.name] = (names[w.name] || 0) + 1;
workers.forEach((w, i) => { if (names[w.name] > 1) w.name += ' ' + (w.id ? w.id.slice(0, 8) : i); });
workers.forEach((w, i) => { if (workers.findIndex(o => o.name === w.name) !== i) w.name += ' #' + i; });

draw();
listEvents();
dark.addEventListener('change', draw);
let width = innerWidth;
addEventListener('resize', () => { if (innerWidth !== width) { width = innerWidth; draw(); } });
addEventListener('scroll', () => { tip.hidden = true; }, {passive: true});
if (data.live) setTimeout(() => location.reload(), 5000);
})();

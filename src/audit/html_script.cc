// The script of the HTML page. It only ever creates elements and text nodes: no innerHTML, no
// attribute made of the log's text, so nothing in a log becomes markup.
#include "audit/log_html.h"

namespace vitrine::audit {
namespace {

constexpr std::string_view kScript = R"js(
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const page = document.getElementById('page');
const start = data.start || {};
const end = data.end || {};
const report = (end && typeof end.report === 'object' && end.report) || {};

// --- Elements ---------------------------------------------------------------------------------

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  for (const child of children) {
    if (child === null || child === undefined) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}
function section(title, ...children) {
  const element = make('section', '', make('h2', '', title), ...children);
  page.append(element);
  return element;
}
function table(columns, rows) {
  const body = make('tbody');
  for (const row of rows) {
    body.append(make('tr', '', ...row.map((cell, i) => make('td', columns[i][1] || '', cell))));
  }
  const head = make('tr', '', ...columns.map(([name, kind]) => make('th', kind === 'num' ? 'num' : '', name)));
  return make('table', '', make('thead', '', head), body);
}

// --- Figures ----------------------------------------------------------------------------------

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);
const list = (value) => (Array.isArray(value) ? value : []);
const count = (value) => Number(value).toLocaleString('en');
function bytes(value) {
  let unit = 0;
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  while (value >= 1024 && unit < 4) { value /= 1024; unit += 1; }
  return (unit && value < 10 ? value.toFixed(1) : Math.round(value)) + ' ' + names[unit];
}
function seconds(value) {
  if (value >= 1) return (value < 100 ? value.toFixed(2) : Math.round(value)) + ' s';
  return value >= 0.001 ? (value * 1000).toFixed(value < 0.01 ? 2 : 0) + ' ms' : Math.round(value * 1e6) + ' µs';
}
const clock = (us) => (us / 1e6).toFixed(6);

// --- Top: verdict and budgets -----------------------------------------------------------------

function verdictPill() {
  const verdict = typeof report.verdict === 'string' ? report.verdict : 'unfinished log';
  const good = verdict === 'exited' && report.exit_code === 0;
  let text = verdict;
  if (isNumber(report.exit_code)) text += ' ' + report.exit_code;
  if (isNumber(report.signal)) text += ' by signal ' + report.signal;
  return make('span', 'pill ' + (good ? 'good' : 'bad'), text);
}
function shellWord(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : "'" + word.replaceAll("'", "'\\''") + "'";
}
function header() {
  const command = list(start.argv).map((word) => shellWord(String(word))).join(' ') || '(no start line)';
  page.append(make('div', 'top', make('h1', 'mono', command), verdictPill()));
  if (typeof report.reason === 'string') page.append(make('p', 'facts', report.reason));
  const profiles = list(start.profiles).map((p) => p && p.name + ' (' + String(p.sha256).slice(0, 12) + '…)');
  const facts = ['vitrine ' + start.vitrine, 'backend ' + start.backend, 'Linux ' + start.kernel, start.utc,
                 'level ' + start.level, 'profile ' + profiles.join(', ')];
  page.append(make('p', 'facts', facts.join('  ·  ')));
  const denied = data.calls.reduce((sum, call) => sum + call[4], 0);
  page.append(make('p', 'facts', count(data.events) + ' events in this log, ' + count(denied) + ' denied'));
  if (!data.end) page.append(make('p', 'notice', 'The log has no end line: the run did not finish writing it.'));
  if (end.events_left_out > 0) {
    page.append(make('p', 'notice', count(end.events_left_out) + ' events are missing in the log: it reached its size limit, or its reader or disk could not keep up.'));
  }
}
function budget(name, used, limit, show, hit) {
  const fill = make('i', hit ? 'hit' : '');
  const share = isNumber(limit) && limit > 0 ? Math.min(1, used / limit) : 0;
  fill.style.width = (share * 100).toFixed(1) + '%';
  const figures = (isNumber(used) ? show(used) : '?') + ' of ' + (isNumber(limit) ? show(limit) : 'no limit');
  return make('div', 'budget', make('b', '', name), make('span', 'figures', figures), make('div', 'bar', fill));
}
function budgets() {
  const used = report.usage || {};
  const limits = report.limits || start.limits || {};
  const hits = new Set(list(report.limits_hit).concat(String(report.verdict).replace('-limit', '')));
  const rows = [
    ['wall', used.wall_s, limits.wall_s, seconds],
    ['cpu', used.cpu_user_s + used.cpu_system_s, limits.cpu_s, seconds],
    ['memory', used.memory_peak_bytes, limits.memory_bytes, bytes],
    ['output', used.output_bytes, limits.output_bytes, bytes],
    ['processes', used.processes_peak, limits.processes, count],
    ['threads', used.threads_peak, limits.threads, count],
    ['scratch', used.scratch_peak_bytes, limits.scratch_bytes, bytes]];
  section('Budgets', make('div', 'budgets', ...rows.map(([name, ...rest]) => budget(name, ...rest, hits.has(name)))));
}

// --- CPU and memory over time -----------------------------------------------------------------

const kChartHeight = 110;

// [time in us, value] of each sample; CPU as the CPUs that were busy since the one before.
function courses() {
  const busy = data.samples.map(([time, cpu], i) => {
    const before = data.samples[i - 1] || [time, cpu];
    return [time, time > before[0] ? Math.max(0, cpu - before[1]) / (time - before[0]) : 0];
  });
  return [
    { name: 'CPU', colour: '--f0', points: busy, rate: true, least: 1, show: (value) => value.toFixed(2) + ' CPUs' },
    { name: 'memory', colour: '--f2', points: data.samples.map((at) => [at[0], at[2]]), least: 1 << 20, show: bytes,
      limit: (report.limits || start.limits || {}).memory_bytes }];
}
function highestOf(course) {
  return course.points.reduce((most, point) => Math.max(most, point[1]), 0);
}
function figuresOf(course) {
  const most = highestOf(course);
  return 'highest sample ' + course.show(most) + (isNumber(course.limit) ? ' of ' + course.show(course.limit) : '') +
    (most < course.least ? ', full height ' + course.show(course.least) : '');
}
function drawCourse(canvas, course) {
  const width = canvas.clientWidth;
  const scale = window.devicePixelRatio || 1;
  canvas.width = width * scale;
  canvas.height = kChartHeight * scale;
  canvas.style.height = kChartHeight + 'px';
  const context = canvas.getContext('2d');
  context.scale(scale, scale);
  context.font = '12px system-ui, sans-serif';
  const style = getComputedStyle(document.documentElement);
  const highest = Math.max(course.least, highestOf(course));
  const last = Math.max(1, data.last_us);
  const x = (time) => kLabelWidth + (width - kLabelWidth) * Math.min(1, time / last);
  const y = (value) => kChartHeight - 6 - (kChartHeight - 24) * value / highest;
  context.fillStyle = style.getPropertyValue('--dim');
  context.fillText(course.name, 0, kChartHeight - 10);
  context.fillText(figuresOf(course), kLabelWidth, 12);
  context.fillStyle = style.getPropertyValue('--line');
  context.fillRect(kLabelWidth, y(0), width - kLabelWidth, 1);
  context.beginPath();
  context.moveTo(x(0), y(0));
  let before = [0, 0];
  for (const point of course.points) {
    // CPUs were busy up to a sample, memory was held from one on.
    const level = course.rate ? point[1] : before[1];
    context.lineTo(x(before[0]), y(level));
    context.lineTo(x(point[0]), y(level));
    before = point;
  }
  context.lineTo(x(before[0]), y(before[1]));
  context.strokeStyle = style.getPropertyValue(course.colour);
  context.lineWidth = 1.5;
  context.stroke();
}
function usage() {
  if (data.samples.length < 2) return;
  const hover = make('div', 'hover', count(data.samples.length) + ' samples over ' + seconds(data.last_us / 1e6));
  const hint = hover.textContent;
  const canvases = courses().map((course) => {
    const canvas = make('canvas', 'course');
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', course.name + ' over time: ' + figuresOf(course));
    canvas.addEventListener('mousemove', (event) => {
      const box = canvas.getBoundingClientRect();
      const time = (event.clientX - box.left - kLabelWidth) / (box.width - kLabelWidth) * data.last_us;
      const at = course.points.find((point) => point[0] >= time) || course.points[course.points.length - 1];
      hover.textContent = clock(at[0]) + ' s: ' + course.name + ' ' + course.show(at[1]);
    });
    canvas.addEventListener('mouseleave', () => { hover.textContent = hint; });
    return [canvas, course];
  });
  section('CPU and memory over time', ...canvases.map(([canvas]) => canvas), hover);
  const draw = () => canvases.forEach(([canvas, course]) => drawCourse(canvas, course));
  draw();
  window.addEventListener('resize', draw);
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
}

// --- Timeline ---------------------------------------------------------------------------------

const kBuckets = 512;
const kLaneHeight = 40;
const kLabelWidth = 74;

function usedBuckets() {
  return Math.min(kBuckets, Math.floor(data.last_us / data.timeline.bucket_us) + 1);
}
function drawLane(context, lane, top, width, highest, style) {
  const step = (width - kLabelWidth) / usedBuckets();
  context.fillStyle = style.getPropertyValue('--dim');
  context.fillText(lane[0] ? 'task ' + lane[0] : 'others', 0, top + kLaneHeight - 10);
  context.fillStyle = style.getPropertyValue('--line');
  context.fillRect(kLabelWidth, top + kLaneHeight - 5, width - kLabelWidth, 1);
  for (const [bucket, denied, ...calls] of lane.slice(1)) {
    const total = calls.reduce((sum, n) => sum + n, 0);
    const x = kLabelWidth + bucket * step;
    const wide = Math.max(1, step - (step > 4 ? 1 : 0));
    const height = Math.max(2, Math.sqrt(total / highest) * (kLaneHeight - 12));
    let y = top + kLaneHeight - 5;
    calls.forEach((n, family) => {
      const part = height * n / total;
      context.fillStyle = style.getPropertyValue('--f' + family);
      context.fillRect(x, y - part, wide, part);
      y -= part;
    });
    if (denied > 0) {
      context.fillStyle = style.getPropertyValue('--bad');
      context.fillRect(x, top + 2, wide, 4);
    }
  }
}
function drawTimeline(canvas) {
  const lanes = data.timeline.lanes;
  const width = canvas.clientWidth;
  const scale = window.devicePixelRatio || 1;
  canvas.width = width * scale;
  canvas.height = lanes.length * kLaneHeight * scale;
  canvas.style.height = lanes.length * kLaneHeight + 'px';
  const context = canvas.getContext('2d');
  context.scale(scale, scale);
  context.font = '12px system-ui, sans-serif';
  const style = getComputedStyle(document.documentElement);
  const total = (cell) => cell.slice(2).reduce((sum, n) => sum + n, 0);
  let highest = 1;
  for (const lane of lanes) for (const cell of lane.slice(1)) highest = Math.max(highest, total(cell));
  lanes.forEach((lane, i) => drawLane(context, lane, i * kLaneHeight, width, highest, style));
}
function cellAt(canvas, event) {
  const box = canvas.getBoundingClientRect();
  const lane = data.timeline.lanes[Math.floor((event.clientY - box.top) / kLaneHeight)];
  const step = (box.width - kLabelWidth) / usedBuckets();
  const bucket = Math.floor((event.clientX - box.left - kLabelWidth) / step);
  return lane && bucket >= 0 ? { lane, bucket, cell: lane.slice(1).find((cell) => cell[0] === bucket) } : null;
}
function describeCell(at) {
  const from = at.bucket * data.timeline.bucket_us;
  const when = clock(from) + ' s to ' + clock(from + data.timeline.bucket_us) + ' s, ' + (at.lane[0] ? 'task ' + at.lane[0] : 'other tasks') + ': ';
  if (!at.cell) return when + 'no calls';
  const parts = at.cell.slice(2).map((n, i) => (n ? count(n) + ' ' + data.families[i] : '')).filter(Boolean);
  return when + parts.join(', ') + (at.cell[1] ? ', ' + count(at.cell[1]) + ' denied' : '');
}
function timeline(events) {
  if (!data.timeline.lanes.length) return;
  const swatch = (name, colour) => {
    const mark = make('i');
    mark.style.background = 'var(' + colour + ')';
    return make('span', '', mark, name);
  };
  const seen = data.families.map((name, i) => data.calls.some((call) => call[1] === i));
  const legend = make('div', 'legend', ...data.families.map((name, i) => (seen[i] ? swatch(name, '--f' + i) : null)), swatch('denied', '--bad'));
  const canvas = make('canvas');
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', 'Calls over time, a row for each task');
  const hint = 'Each column is ' + seconds(data.timeline.bucket_us / 1e6) + ' of ' + seconds(data.last_us / 1e6) + '. Point at one for its figures, click to list its events.';
  const hover = make('div', 'hover', hint);
  section('Calls over time', legend, canvas, hover);
  canvas.addEventListener('mousemove', (event) => {
    const at = cellAt(canvas, event);
    hover.textContent = at ? describeCell(at) : hint;
  });
  canvas.addEventListener('mouseleave', () => { hover.textContent = hint; });
  canvas.addEventListener('click', (event) => {
    const at = cellAt(canvas, event);
    if (at) events.selectTime(at.bucket * data.timeline.bucket_us, (at.bucket + 1) * data.timeline.bucket_us);
  });
  const draw = () => drawTimeline(canvas);
  draw();
  window.addEventListener('resize', draw);
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
}

// --- Denials ----------------------------------------------------------------------------------

function denials() {
  if (!data.denials.length) return void section('Denied', make('p', 'dim', 'Nothing was denied.'));
  const byRule = new Map();
  for (const denial of data.denials) {
    if (!byRule.has(denial[5])) byRule.set(denial[5], []);
    byRule.get(denial[5]).push(denial);
  }
  const columns = [['count', 'num'], ['call'], ['target', 'mono'], ['error'], ['first, s', 'num'], ['where'], ['to allow it, in "files"', 'paste']];
  const parts = [];
  for (const [rule, group] of byRule) {
    group.sort((a, b) => b[0] - a[0]);
    parts.push(make('p', '', 'Rule ', make('code', '', rule || '(none)'), make('span', 'dim', '  ' + count(group.reduce((sum, d) => sum + d[0], 0)) + ' times')));
    parts.push(table(columns, group.map(([n, first, call, target, error, , where, line]) =>
      [count(n), call, target || '–', error, clock(first), where || '–', line ? make('code', '', line) : '–'])));
  }
  if (data.denial_count > data.denials.length) parts.push(make('p', 'dim', 'and ' + count(data.denial_count - data.denials.length) + ' more'));
  section('Denied', make('div', 'scroll', ...parts));
}

// --- Files ------------------------------------------------------------------------------------

const kUses = ['looked', 'read', 'written', 'run', 'absent', 'refused'];
const kBySeverity = ['refused', 'written', 'run', 'read', 'looked', 'absent'];

function fileTree() {
  const root = { children: new Map(), total: [0, 0, 0, 0, 0, 0], own: null };
  for (const [path, ...uses] of data.files) {
    const parts = path.split('/').filter(Boolean);
    if (!path.startsWith('/')) parts.unshift('(relative)');
    let node = root;
    const visit = () => uses.forEach((n, i) => { node.total[i] += n; });
    visit();
    for (const part of parts) {
      if (!node.children.has(part)) node.children.set(part, { children: new Map(), total: [0, 0, 0, 0, 0, 0], own: null });
      node = node.children.get(part);
      visit();
    }
    node.own = uses;
  }
  return root;
}
const worst = (total) => kBySeverity.find((use) => total[kUses.indexOf(use)] > 0) || 'looked';
const describe = (total) => kUses.map((use, i) => (total[i] ? count(total[i]) + ' ' + use : '')).filter(Boolean).join(', ');
function nodeElement(name, node) {
  const label = [make('span', 'mono ' + worst(node.total), name), make('span', 'counts', describe(node.total))];
  if (!node.children.size) return make('div', 'leaf', ...label);
  while (node.children.size === 1 && !node.own) {
    const [[only, child]] = node.children;
    if (!child.children.size) break;
    name += '/' + only;
    node = child;
    label[0].textContent = name;
  }
  const inside = make('div');
  const element = make('details', '', make('summary', '', ...label), inside);
  element.addEventListener('toggle', () => {
    if (element.open && !inside.childNodes.length) fillFolder(inside, node);
  });
  return element;
}
function fillFolder(inside, node) {
  const rank = (child) => kBySeverity.indexOf(worst(child.total));
  const children = [...node.children].sort((a, b) => rank(a[1]) - rank(b[1]) || (a[0] < b[0] ? -1 : 1));
  for (const [name, child] of children.slice(0, 1000)) inside.append(nodeElement(name, child));
  if (children.length > 1000) inside.append(make('div', 'leaf dim', 'and ' + count(children.length - 1000) + ' more'));
}
function files(parent) {
  const tree = make('div', 'scroll');
  const root = fileTree();
  const children = [...root.children].sort((a, b) => kBySeverity.indexOf(worst(a[1].total)) - kBySeverity.indexOf(worst(b[1].total)));
  for (const [name, node] of children) {
    const element = nodeElement(name === '(relative)' ? name : '/' + name, node);
    tree.append(element);
    if (worst(node.total) === 'refused' && element.tagName === 'DETAILS') element.open = true;
  }
  const legend = make('div', 'legend', ...kBySeverity.map((use) => make('span', use, use)));
  const more = data.file_count > data.files.length ? make('p', 'dim', 'and ' + count(data.file_count - data.files.length) + ' more paths') : null;
  parent.append(make('section', '', make('h2', '', 'Files'), legend, tree, more));
}

// --- Calls and processes ----------------------------------------------------------------------

function calls(parent) {
  const rows = [...data.calls].sort((a, b) => b[2] - a[2]);
  const timed = rows.some((row) => row[5] > 0);
  const columns = [['call'], ['family'], ['calls', 'num'], ['errors', 'num'], ['denied', 'num']];
  if (timed) columns.push(['time', 'num']);
  const cells = rows.map(([name, family, n, errors, denied, took]) => {
    const row = [make('code', '', name), data.families[family], count(n), errors ? count(errors) : '', denied ? make('span', 'refused', count(denied)) : ''];
    if (timed) row.push(took ? seconds(took / 1e9) : '');
    return row;
  });
  parent.append(make('section', '', make('h2', '', 'System calls'), make('div', 'scroll', table(columns, cells))));
}
function processes(parent) {
  if (!data.processes.length) return;
  const columns = [['pid', 'num'], ['program', 'mono'], ['tasks', 'num'], ['end']];
  const rows = data.processes.map(([pid, threads, program, how]) => [pid, program || '?', threads, how || '–']);
  parent.append(make('section', '', make('h2', '', 'Processes'), make('div', 'scroll', table(columns, rows))));
}

// --- Events -----------------------------------------------------------------------------------

const kRowHeight = 24;

class Events {
  constructor() {
    this.rows = data.rows;
    this.shown = this.rows;
    this.time = null;
    this.lower = null;
    this.search = make('input');
    this.search.type = 'search';
    this.search.placeholder = 'Search calls, paths, rules, errors';
    this.search.setAttribute('aria-label', 'Search the events');
    this.decision = this.select(['every decision', 'allow', 'serve', 'deny', 'kill']);
    this.call = this.select(['every call', ...data.calls.map((row) => row[0]).sort()]);
    this.timeButton = make('button', '', '');
    this.timeButton.hidden = true;
    this.total = make('span', 'dim', '');
    this.spacer = make('div', 'spacer');
    this.box = make('div', 'events', this.headRow(), this.spacer);
    this.box.tabIndex = 0;
    this.box.addEventListener('scroll', () => this.paint());
    let waiting = 0;
    this.search.addEventListener('input', () => { clearTimeout(waiting); waiting = setTimeout(() => this.filter(), 120); });
    this.decision.addEventListener('change', () => this.filter());
    this.call.addEventListener('change', () => this.filter());
    this.timeButton.addEventListener('click', () => { this.time = null; this.filter(); });
  }
  select(words) {
    const element = make('select');
    for (const word of words) element.append(new Option(word, word));
    return element;
  }
  headRow() {
    const names = ['seq', 'time s', 'pid/tid', 'call', 'arguments', 'result', 'decision', 'rule'];
    return make('div', 'row head', ...names.map((name, i) => make('span', i < 2 ? 'num' : '', name)));
  }
  show() {
    const element = section('Events', make('div', 'filters', this.search, this.decision, this.call, this.timeButton, this.total), this.box);
    if (data.rows_left_out > 0) {
      element.append(make('p', 'notice', 'The table holds the first ' + count(this.rows.length) + ' events; ' + count(data.rows_left_out) + ' later ones are in the figures above and in the log.'));
    }
    this.filter();
  }
  selectTime(from, to) {
    this.time = [from, to];
    this.filter();
    this.box.scrollIntoView({ block: 'center' });
  }
  // The texts that hold the needle; a row matches if one of its texts does.
  matchingTexts(needle) {
    if (!this.lower) this.lower = data.texts.map((text) => text.toLowerCase());
    const hits = new Uint8Array(this.lower.length);
    this.lower.forEach((text, i) => { hits[i] = text.includes(needle) ? 1 : 0; });
    return hits;
  }
  filter() {
    const needle = this.search.value.trim().toLowerCase();
    const hits = needle ? this.matchingTexts(needle) : null;
    const decision = this.decision.selectedIndex ? this.decision.value : null;
    const call = this.call.selectedIndex ? this.call.value : null;
    const time = this.time;
    this.shown = this.rows.filter((row) =>
      (!hits || hits[row[4]] || hits[row[5]] || hits[row[6]] || hits[row[7]] || hits[row[8]] || hits[row[9]]) &&
      (!decision || data.texts[row[6]] === decision) && (!call || data.texts[row[4]] === call) &&
      (!time || (row[1] >= time[0] && row[1] < time[1])));
    this.timeButton.hidden = !time;
    if (time) this.timeButton.textContent = clock(time[0]) + '–' + clock(time[1]) + ' s ✕';
    this.total.textContent = count(this.shown.length) + ' of ' + count(this.rows.length);
    this.spacer.style.height = this.shown.length * kRowHeight + 'px';
    this.box.scrollTop = 0;
    this.paint();
  }
  paint() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / kRowHeight) - 10);
    const last = Math.min(this.shown.length, first + Math.ceil(this.box.clientHeight / kRowHeight) + 20);
    const rows = [];
    for (let i = first; i < last; i += 1) rows.push(this.row(this.shown[i], i));
    this.spacer.replaceChildren(...rows);
  }
  row([seq, time, pid, tid, ...indexes], position) {
    const [name, args, decision, rule, result, where] = indexes.map((i) => data.texts[i]);
    const kind = decision === 'deny' || decision === 'kill' ? decision : (decision ? '' : 'note');
    const who = pid ? (tid === pid ? pid : pid + '/' + tid) : '';
    const cells = [seq, clock(time), who, name, args, result, decision, where ? rule + ' · ' + where : rule];
    const element = make('div', 'row mono ' + kind, ...cells.map((cell, i) => make('span', i < 2 ? 'num' : '', cell)));
    element.children[4].title = args;
    element.children[7].title = cells[7];
    element.style.top = position * kRowHeight + 'px';
    return element;
  }
}

// --- The page ---------------------------------------------------------------------------------

header();
budgets();
usage();
const events = new Events();
timeline(events);
denials();
const columns = make('div', 'columns');
page.append(columns);
const left = make('div');
const right = make('div');
columns.append(left, right);
files(left);
calls(right);
processes(right);
events.show();
)js";

}  // namespace

std::string_view html_script() { return kScript; }

}  // namespace vitrine::audit

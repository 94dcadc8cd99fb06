// The style of the HTML page. Colours are custom properties, so that the dark theme and the canvas
// share them with the rest.
#include "audit/log_html.h"

namespace vitrine::audit {

std::string_view html_style() {
  static constexpr std::string_view kStyle = R"css(
:root {
  color-scheme: light dark;
  --bg: #f6f7f9; --panel: #ffffff; --line: #dfe3e8; --text: #1d2430; --dim: #667085;
  --accent: #2557c7; --bad: #c0262d; --bad-bg: #fdecec; --good: #1a7f45; --good-bg: #e7f6ed;
  --warn: #a15c00; --warn-bg: #fdf3e0;
  --f0: #4c78c9; --f1: #2aa198; --f2: #8a63c9; --f3: #d18f1f; --f4: #c94c8a; --f5: #7a8f2a; --f6: #8a94a3;
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #12161d; --panel: #1a2029; --line: #2d3542; --text: #e4e8ee; --dim: #97a1b0;
    --accent: #7fa8ff; --bad: #ff7b7b; --bad-bg: #3b1d21; --good: #63d297; --good-bg: #17301f;
    --warn: #f0b45a; --warn-bg: #33270f;
    --f0: #6f9bec; --f1: #45c1b7; --f2: #ab86ea; --f3: #e6ac48; --f4: #e673ab; --f5: #a3b94d; --f6: #97a1b0;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--text);
       font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 24px 20px 60px; }
code, .mono { font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
h1, h1.mono { font-size: 17px; font-weight: 600; margin: 0; overflow-wrap: anywhere; }
section p { margin: 10px 0 4px; }
h2 { font-size: 15px; margin: 0 0 10px; }
section { background: var(--panel); border: 1px solid var(--line); border-radius: 10px;
          padding: 16px 18px; margin-top: 16px; }
.dim { color: var(--dim); }
.facts { margin: 6px 0 0; color: var(--dim); overflow-wrap: anywhere; }
.top { display: flex; gap: 12px; align-items: center; flex-wrap: wrap; }
.pill { display: inline-block; padding: 2px 11px; border-radius: 99px; font-weight: 600;
        background: var(--warn-bg); color: var(--warn); white-space: nowrap; }
.pill.good { background: var(--good-bg); color: var(--good); }
.pill.bad { background: var(--bad-bg); color: var(--bad); }
.notice { margin: 12px 0 0; padding: 8px 12px; border-radius: 8px; background: var(--warn-bg); color: var(--warn); }
.budgets { display: grid; grid-template-columns: repeat(auto-fill, minmax(215px, 1fr)); gap: 14px 22px; }
.budget b { font-weight: 600; }
.budget .figures { float: right; color: var(--dim); }
.bar { height: 7px; border-radius: 4px; background: var(--line); overflow: hidden; margin-top: 5px; clear: both; }
.bar > i { display: block; height: 100%; border-radius: 4px; background: var(--accent); }
.bar > i.hit { background: var(--bad); }
canvas { display: block; width: 100%; cursor: crosshair; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; margin-bottom: 8px; color: var(--dim); }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 6px; }
.hover { min-height: 21px; margin-top: 6px; color: var(--dim); }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; color: var(--dim); border-bottom: 1px solid var(--line); padding: 4px 10px 4px 0; white-space: nowrap; }
td { padding: 4px 10px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.mono, td.paste { overflow-wrap: anywhere; }
tr:last-child td { border-bottom: 0; }
th.num, td.num { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.paste code { user-select: all; background: var(--bg); border: 1px solid var(--line); border-radius: 5px; padding: 1px 6px; cursor: copy; }
.scroll { max-height: 420px; overflow: auto; }
.columns > div { min-width: 0; }
.columns { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 0 16px; align-items: start; }
@media (max-width: 900px) { .columns { grid-template-columns: minmax(0, 1fr); } }
details > div { margin-left: 18px; border-left: 1px solid var(--line); padding-left: 8px; }
summary { cursor: pointer; }
summary, .leaf { padding: 1px 0; overflow-wrap: anywhere; }
.leaf { padding-left: 15px; }
.refused { color: var(--bad); } .written { color: var(--warn); } .read { color: var(--good); }
.run { color: var(--f2); } .absent, .looked { color: var(--dim); }
.counts { color: var(--dim); margin-left: 8px; font-size: 12px; }
.filters { display: flex; flex-wrap: wrap; gap: 8px; margin-bottom: 10px; align-items: center; }
input, select, button { font: inherit; color: inherit; background: var(--bg); border: 1px solid var(--line);
                        border-radius: 7px; padding: 5px 10px; }
input[type=search] { flex: 1 1 260px; min-width: 0; }
button { cursor: pointer; }
.events { height: 520px; overflow: auto; border: 1px solid var(--line); border-radius: 8px; position: relative; }
.events .spacer { position: relative; min-width: 1000px; }
.row { position: absolute; left: 0; right: 0; height: 24px; display: grid; align-items: center; padding: 0 10px; gap: 10px;
       grid-template-columns: 64px 92px 70px 126px minmax(260px, 1fr) 96px 74px 176px; }
.row > span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.row > .num { text-align: right; font-variant-numeric: tabular-nums; }
.row.head { position: sticky; top: 0; z-index: 1; background: var(--panel); border-bottom: 1px solid var(--line);
            color: var(--dim); font-weight: 600; min-width: 1000px; }
.row.deny, .row.kill { background: var(--bad-bg); color: var(--bad); }
.row.note { color: var(--dim); font-style: italic; }
)css";
  return kStyle;
}

}  // namespace vitrine::audit

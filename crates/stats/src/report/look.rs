//! The look of the page, as CSS: one column on a telephone, two columns of charts on a desk, black on white on paper.

/// Style of everything but the charts.
pub(super) const PAGE: &str = "\
:root{color-scheme:light dark;--text:#1b1b1b;--soft:#595959;--back:#ffffff;--rule:#d0d0d0;--shade:#f4f4f4;\
--valid:#00694d;--degraded:#8a5a00;--invalid:#b00020}
@media screen and (prefers-color-scheme:dark){:root{--text:#ececec;--soft:#a8a8a8;--back:#1a1a1a;--rule:#444444;--shade:#262626;\
--valid:#4ad8ae;--degraded:#ffb84d;--invalid:#ff8080}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);\
font:15px/1.45 system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}
main{max-width:1120px;margin:0 auto;padding:16px}
h1{font-size:1.45em;margin:.2em 0 .6em;overflow-wrap:anywhere}
h2{font-size:1.15em;margin:1.4em 0 .4em;overflow-wrap:anywhere}
h3{font-size:1em;margin:1.2em 0 .3em}
.verdict{border-left:6px solid;padding:6px 12px;margin:8px 0;background:var(--shade)}
.verdict strong{font-size:1.1em}
.verdict ul{margin:.3em 0;padding-left:1.2em;color:var(--text)}
.valid{border-color:var(--valid)}.valid strong{color:var(--valid)}
.degraded{border-color:var(--degraded)}.degraded strong{color:var(--degraded)}
.invalid{border-color:var(--invalid)}.invalid strong{color:var(--invalid)}
.asked{color:var(--soft);overflow-wrap:anywhere}
.wide{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;margin:8px 0;font-variant-numeric:tabular-nums}
th,td{padding:4px 10px;text-align:right;vertical-align:top;border-bottom:1px solid var(--rule);white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:0}
thead th{color:var(--soft);font-weight:600}
tbody th{font-weight:600}
th.narrow{white-space:normal;min-width:92px;vertical-align:bottom}
td small{display:block;color:var(--soft)}
td.words,th.words{text-align:left;white-space:normal;overflow-wrap:anywhere}
th.name{white-space:normal}
td.say,th.say{text-align:left}
td.say small{white-space:normal;min-width:12em}
.groups{display:flex;flex-wrap:wrap;gap:0 44px}
.big{display:flex;flex-wrap:wrap;gap:8px 28px;margin:10px 0}
.big div{min-width:104px}
.big b{display:block;font-size:1.35em;font-variant-numeric:tabular-nums}
.big span{color:var(--soft)}
.warning{border-left:6px solid var(--degraded);padding:4px 12px;background:var(--shade)}
.note{color:var(--soft)}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr));gap:20px;margin:20px 0}
figure{margin:0;min-width:0}
figure svg{width:100%;max-width:660px;height:auto;display:block}
details{margin:10px 0;border-top:1px solid var(--rule);padding-top:8px}
summary{cursor:pointer;font-weight:600}
code{font:13px ui-monospace,'DejaVu Sans Mono',monospace;overflow-wrap:anywhere}
dt{font-weight:600}
dd{margin:0 0 .5em 0}
@media (max-width:480px){main{padding:10px}th,td{padding:4px 5px}body{font-size:14px}\
.figures{width:100%;font-size:13px}.figures th,.figures td{padding:4px 3px}\
.figures th,.figures td.say,.figures td.span,.figures small{white-space:normal}\
.figures td.say small{min-width:0}}
@media print{main{max-width:none;padding:0}figure,.verdict,tr{break-inside:avoid}.wide{overflow:visible}table{font-size:11px}\
details:not([open])::details-content{content-visibility:visible;height:auto}}
";

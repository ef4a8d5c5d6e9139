//! The look of charts, as CSS: colours for light and dark, and lines.

/// Style of every chart. Whoever puts [`Chart::inline`](super::Chart::inline) into a page puts this into the page once.
///
/// Series have the colours of Okabe and Ito ("Color universal design", 2008) that are dark enough on white, and two of Tol's ("Colour
/// schemes", 2021) for those that are not; in the dark their lighter sisters. Paper is always light.
pub const STYLE: &str = "\
.plot{--ink:#1b1b1b;--dim:#595959;--grid:#d9d9d9;--faint:#eeeeee;--paper:#ffffff;\
--c0:#0072b2;--c1:#d55e00;--c2:#00805d;--c3:#aa3377;--c4:#8a6d00;--c5:#444444;\
font:12px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif;max-width:100%;height:auto}
@media screen and (prefers-color-scheme:dark){.plot{--ink:#ececec;--dim:#a8a8a8;--grid:#444444;--faint:#2e2e2e;--paper:#1a1a1a;\
--c0:#56b4e9;--c1:#ff9248;--c2:#35c9a0;--c3:#ee99cc;--c4:#e8d44d;--c5:#cccccc}}
.plot text{fill:var(--ink);stroke:none}
.plot .title{font-size:14px;font-weight:600}
.plot .name{fill:var(--dim)}
.plot .paper{fill:var(--paper)}
.plot .grid{stroke:var(--grid);stroke-width:1;fill:none}
.plot .faint{stroke:var(--faint);stroke-width:1;fill:none}
.plot .frame{stroke:var(--dim);stroke-width:1;fill:none}
.plot .line{fill:none;stroke:currentColor;stroke-width:1.75;stroke-linejoin:round}
.plot .area{fill:currentColor;fill-opacity:.18;stroke:none}
.plot .full{fill:currentColor;stroke:none}
.plot .open{fill:var(--paper);stroke:currentColor;stroke-width:1.5}
.plot .hit{fill:transparent;stroke:none}
.plot .i0{color:var(--c0)}.plot .i1{color:var(--c1)}.plot .i2{color:var(--c2)}\
.plot .i3{color:var(--c3)}.plot .i4{color:var(--c4)}.plot .i5{color:var(--c5)}.plot .dim{color:var(--dim)}
";

/// How many colours there are before they begin again.
pub(super) const COLOURS: usize = 6;

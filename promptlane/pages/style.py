"""The one style sheet of all pages. Colours keep a contrast of 4.5:1 or better in light and in dark."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1a1d21;--soft:#525a66;--line:#d5dae1;--link:#0b57b0;
--good:#11632c;--goodbg:#e2f5e7;--bad:#a3161a;--badbg:#fdeaea;--warn:#7a4a00;--warnbg:#fff3d9;
--del:#ffe9e9;--delmark:#ffb9b9;--add:#e4f7e7;--addmark:#a4e2b0}
@media (prefers-color-scheme:dark){:root{--bg:#14171b;--card:#1d2126;--ink:#e8ebef;--soft:#a9b3bf;--line:#3a424c;
--link:#86bbff;--good:#7fdc97;--goodbg:#15351f;--bad:#ff9c9c;--badbg:#431c1e;--warn:#f3c46b;--warnbg:#3b2d10;
--del:#3a2023;--delmark:#7d2e33;--add:#183323;--addmark:#23683a}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--bg);color:var(--ink);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:80rem;margin:0 auto;padding:0 1rem 3rem}
main.narrow{max-width:42rem}
header.top{max-width:80rem;margin:0 auto;padding:1rem 1rem 0;color:var(--soft);font-size:.9rem}
.narrow-top{max-width:42rem!important}
a{color:var(--link)}
.skip{position:absolute;left:-100vw}
.skip:focus{left:1rem;top:.5rem;background:var(--card);padding:.5rem;z-index:1}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:0 0 .75rem}
h3{font-size:1rem;margin:1.25rem 0 .4rem}
section{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1rem;margin:1rem 0}
p{margin:.5rem 0;overflow-wrap:anywhere}
.soft{color:var(--soft)}
.lead{font-size:1.1rem}
.chip{display:inline-block;border-radius:1rem;padding:.1rem .7rem;font-weight:600;font-size:.9rem;
border:1px solid currentColor}
.good{color:var(--good);background:var(--goodbg)}
.bad{color:var(--bad);background:var(--badbg)}
.warn{color:var(--warn);background:var(--warnbg)}
.note{border-left:.3rem solid currentColor;padding:.6rem .8rem;border-radius:.3rem;margin:.75rem 0;
overflow-wrap:anywhere}
dl.facts{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem;margin:.75rem 0 0}
dl.facts dt{color:var(--soft)}
dl.facts dd{margin:0;overflow-wrap:anywhere}
@media (max-width:30rem){dl.facts{grid-template-columns:1fr;gap:0}dl.facts dd{margin:0 0 .5rem}}
code,.code{font:.85rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
ul.plain,ol.plan{padding-left:1.25rem;margin:.5rem 0}
li{margin:.3rem 0;overflow-wrap:anywhere}
table.results{border-collapse:collapse;width:100%}
table.results th,table.results td{text-align:left;padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--line);
overflow-wrap:anywhere;vertical-align:top}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.views>label{display:inline-block;border:1px solid var(--line);border-radius:.4rem;padding:.35rem .8rem;
margin:0 .4rem .6rem 0;cursor:pointer}
.views>input:checked+label{border-color:var(--link);color:var(--link);font-weight:600}
.views>input:focus-visible+label{outline:3px solid var(--link);outline-offset:2px}
#view-side:checked~.unified,#view-unified:checked~.side{display:none}
@media (min-width:60rem){#view-side:not(:checked)~#view-unified:not(:checked)~.unified{display:none}}
@media (max-width:59.99rem){#view-side:not(:checked)~#view-unified:not(:checked)~.side{display:none}}
table.diff{border-collapse:collapse;width:100%;table-layout:fixed;border:1px solid var(--line)}
table.diff td,table.diff th{padding:.05rem .4rem;vertical-align:top;font-weight:400;text-align:left;
white-space:pre-wrap;overflow-wrap:anywhere;tab-size:4}
col.num{width:3.2rem}
table.diff th.num{color:var(--soft);text-align:right;user-select:none}
table.diff thead th{font-weight:600;border-bottom:1px solid var(--line);padding:.3rem .4rem}
td.del{background:var(--del)}td.add{background:var(--add)}
del,ins{text-decoration:none}
td.del del{background:var(--delmark);border-radius:.15rem}
td.add ins{background:var(--addmark);border-radius:.15rem}
td.none{background:var(--bg)}
tr.gap td{color:var(--soft);background:var(--bg);text-align:center;font-style:italic}
@media (max-width:30rem){col.num{width:1.9rem}table.diff{font-size:.8rem}
table.diff th.num{padding:.05rem .15rem;font-size:.7rem}}
fieldset{border:0;padding:0;margin:0}
legend{font-weight:600;padding:0;margin-bottom:.4rem}
.choice{display:flex;gap:.75rem;flex-wrap:wrap}
.choice label{flex:1 1 12rem;display:flex;gap:.6rem;align-items:center;border:2px solid var(--line);border-radius:.5rem;
padding:.7rem .9rem;cursor:pointer;font-weight:600}
.choice label:has(input:checked){border-color:var(--link)}
.choice label:focus-within{outline:3px solid var(--link);outline-offset:2px}
input[type=radio]{width:1.2rem;height:1.2rem;accent-color:var(--link);flex:none}
.field{margin:1rem 0}
.field>label{display:block;font-weight:600}
.field .soft{margin:.1rem 0 .35rem}
input[type=text],textarea{width:100%;font:inherit;padding:.6rem .7rem;border:1px solid var(--soft);border-radius:.4rem;
background:var(--bg);color:var(--ink)}
input.short{max-width:16rem;font-family:ui-monospace,Consolas,"DejaVu Sans Mono",monospace;letter-spacing:.12em;
text-transform:uppercase}
input:focus-visible,textarea:focus-visible,a:focus-visible,button:focus-visible,summary:focus-visible{
outline:3px solid var(--link);outline-offset:2px}
[aria-invalid=true]{border:2px solid var(--bad)!important}
.error{color:var(--bad);font-weight:600;margin:.25rem 0}
button{font:inherit;font-weight:700;border:0;border-radius:.5rem;padding:.8rem 1.6rem;background:var(--link);
color:var(--card);cursor:pointer;min-height:3rem}
button.second{background:var(--card);color:var(--link);border:2px solid var(--link);padding:.5rem 1rem}
@media (max-width:30rem){button{width:100%}}
""".strip()

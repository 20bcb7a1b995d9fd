/** The page's own style: nothing is loaded. */
export const style = `
:root {
  color-scheme: light dark;
  --page: #fff; --raised: #f6f7f9; --text: #1b1f24; --quiet: #5b6470; --line: #d9dde3;
  --good: #1a7f4b; --bad: #c62828; --accent: #2f6fde;
  --series-1: #2f6fde; --series-2: #b35900; --series-3: #7b3fb5; --series-4: #1a7f4b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --raised: #1d2127; --text: #e6e9ed; --quiet: #9aa4b0; --line: #343b44;
    --good: #4cc38a; --bad: #ff7b72; --accent: #6ea8fe;
    --series-1: #6ea8fe; --series-2: #f0a35e; --series-3: #c99cf5; --series-4: #4cc38a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
header, main { max-width: 60rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
.tool { margin: 0; color: var(--quiet); font-size: .875rem; }
h1 { margin: 0 0 .5rem; font-size: 1.75rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.25rem; }
.outcome { margin: 0 0 1rem; padding: .6rem .9rem; border-left: .3rem solid; border-radius: .25rem; background: var(--raised); font-weight: 600; overflow-wrap: anywhere; }
.good { color: var(--good); } .bad { color: var(--bad); } .none { color: var(--quiet); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .5rem 1.5rem; margin: 0; font-size: .9rem; }
.facts dt { color: var(--quiet); font-size: .8rem; } .facts dd { margin: 0; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
th, td { padding: .4rem .6rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; overflow-wrap: anywhere; }
thead th { color: var(--quiet); font-weight: 500; font-size: .8rem; }
tbody th { font-weight: 500; }
.suites th { white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.status { white-space: nowrap; font-weight: 600; }
.scroll, .plot { overflow-x: auto; }
figure { margin: 0; }
.plot svg { max-width: none; height: auto; }
.plot svg text { white-space: pre; }
figcaption, section > p { color: var(--quiet); font-size: .9rem; margin: .5rem 0 0; max-width: 46rem; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .5rem 0 0; padding: 0; list-style: none; font-size: .85rem; }
.legend span { display: inline-block; width: .7rem; height: .7rem; margin-right: .4rem; border-radius: 50%; }
.failures ol { margin: .5rem 0 0; padding-left: 1.25rem; } .failures li { margin-bottom: .6rem; overflow-wrap: anywhere; }
.failures strong { color: var(--bad); }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
small { color: var(--quiet); }
details { border: 1px solid var(--line); border-radius: .4rem; margin-bottom: .6rem; }
summary { padding: .6rem .9rem; cursor: pointer; font-weight: 500; }
details table { border-top: 1px solid var(--line); }
details tr:last-child > * { border-bottom: 0; }
.checks th { width: 30%; }
main { padding-bottom: 3rem; }
@media (max-width: 40rem) {
  h1 { font-size: 1.4rem; }
  .suites thead, .checks thead { display: none; }
  .suites tr, .checks tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .suites th, .suites td, .checks th, .checks td { display: block; width: auto; border: 0; padding: .1rem .75rem; text-align: left; }
  .suites .number { display: none; }
}
@media print { details { break-inside: avoid; } }
`;

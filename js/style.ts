/** The style sheet of the widget. Colours are custom properties set by theme.ts; nothing outside `.dagnb` is touched. */

export const CSS = `
.dagnb{font:13px/1.4 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;color:var(--dagnb-text);
 background:var(--dagnb-page);border:1px solid var(--dagnb-border);border-radius:8px;overflow:hidden;position:relative}
.dagnb *{box-sizing:border-box}
.dagnb-head{display:flex;flex-wrap:wrap;align-items:center;gap:4px 12px;padding:7px 10px 7px 14px}
.dagnb-title{flex:1 1 260px;min-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.dagnb-title b{font-weight:600}
.dagnb-title span{color:var(--dagnb-quiet)}
.dagnb-outcome{flex:none;white-space:nowrap;font-weight:600;font-variant-numeric:tabular-nums}
.dagnb-outcome:empty{display:none}
.dagnb-key{display:inline-flex;align-items:center;gap:5px;padding:0 5px;max-width:160px;overflow:hidden;white-space:nowrap}
.dagnb-swatch{width:10px;height:10px;border-radius:2px;flex:none}
.dagnb-rule{width:0;height:13px;flex:none}
.dagnb-tools{display:flex;align-items:center;gap:6px}
.dagnb button{font:inherit;color:var(--dagnb-text);background:transparent;border:1px solid var(--dagnb-border);
 border-radius:6px;height:26px;padding:0 9px;cursor:pointer;line-height:1}
.dagnb button:hover:not(:disabled){background:var(--dagnb-stripe);border-color:var(--dagnb-quiet)}
.dagnb button:disabled{opacity:.45;cursor:default}
.dagnb button:focus-visible,.dagnb input:focus-visible,.dagnb-canvas:focus-visible{outline:2px solid var(--dagnb-accent);
 outline-offset:-2px}
.dagnb button.dagnb-run{background:var(--dagnb-accent);border-color:var(--dagnb-accent);color:var(--dagnb-on-strong)}
.dagnb button.dagnb-run:hover:not(:disabled){background:var(--dagnb-accent);filter:brightness(1.08)}
.dagnb-switch{display:inline-flex}
.dagnb-switch button{border-radius:0}
.dagnb-switch button:first-child{border-radius:6px 0 0 6px}
.dagnb-switch button:nth-child(n+2){border-left:0}
.dagnb-switch button[hidden]{display:none}
.dagnb-switch button:not(:has(~button:not([hidden]))){border-radius:0 6px 6px 0}
.dagnb-switch button[aria-selected=true]{background:var(--dagnb-stripe);font-weight:600;
 box-shadow:inset 0 -2px var(--dagnb-accent)}
.dagnb input{font:inherit;color:var(--dagnb-text);background:var(--dagnb-card);border:1px solid var(--dagnb-border);
 border-radius:6px;height:26px;padding:0 8px;width:118px}
.dagnb-progress{height:3px;display:flex;background:var(--dagnb-border);overflow:hidden}
.dagnb-progress[hidden]{display:none}
.dagnb-progress i{display:block;height:100%;transition:width .2s linear}
@media (prefers-reduced-motion:reduce){.dagnb-progress i{transition:none}}
.dagnb-stage{position:relative;resize:vertical;overflow:hidden;min-height:120px;border-top:1px solid var(--dagnb-border)}
.dagnb-canvas{position:absolute;inset:0;width:100%;height:100%;display:block;touch-action:pan-y;cursor:grab}
.dagnb-note{position:absolute;inset:0;display:flex;align-items:center;justify-content:center;color:var(--dagnb-quiet);
 pointer-events:none;padding:20px;text-align:center}
.dagnb-note:empty{display:none}
.dagnb-tip{position:absolute;z-index:3;pointer-events:none;max-width:320px;padding:5px 9px;border-radius:6px;
 background:var(--dagnb-text);color:var(--dagnb-page);font-size:12px;overflow-wrap:anywhere;white-space:pre-line}
.dagnb-tip[hidden]{display:none}
.dagnb-foot{display:flex;flex-wrap:wrap;align-items:center;gap:2px 4px;padding:4px 10px;
 border-top:1px solid var(--dagnb-border);font-size:12px;color:var(--dagnb-quiet);min-height:31px}
.dagnb-foot button.dagnb-chip{border-color:transparent;height:22px;padding:0 7px;display:inline-flex;align-items:center;
 gap:5px;font-size:12px;color:var(--dagnb-quiet)}
.dagnb-foot button.dagnb-chip[aria-pressed=true]{border-color:var(--dagnb-accent);color:var(--dagnb-text)}
.dagnb-glyph{width:14px;height:14px;flex:none}
.dagnb-said{margin-left:auto;padding:0 4px;text-align:right}
.dagnb-said.dagnb-bad{color:var(--dagnb-failed)}
.dagnb-drawer{position:absolute;z-index:2;top:0;right:0;bottom:0;width:min(340px,86%);overflow:auto;padding:10px 14px 14px;
 background:var(--dagnb-card);border-left:1px solid var(--dagnb-border);box-shadow:-6px 0 18px rgb(0 0 0/.12);font-size:12.5px}
.dagnb-drawer[hidden]{display:none}
.dagnb-drawer header{display:flex;align-items:flex-start;gap:8px;margin-bottom:8px}
.dagnb-drawer h3{flex:1;margin:0;font-size:14px;font-weight:600;overflow-wrap:anywhere;line-height:1.35}
.dagnb-drawer header .dagnb-glyph{margin-top:3px}
.dagnb-drawer header button{height:22px;padding:0 7px;border-color:transparent}
.dagnb-drawer dl{display:grid;grid-template-columns:auto 1fr;gap:2px 12px;margin:0}
.dagnb-drawer dt{color:var(--dagnb-quiet);font-weight:400;float:none;white-space:nowrap;margin:0}
.dagnb-drawer dd{margin:0;overflow-wrap:anywhere}
.dagnb-drawer h4{margin:12px 0 4px;font-size:12px;font-weight:600;color:var(--dagnb-quiet)}
.dagnb-drawer table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;margin:0;font-size:12.5px}
.dagnb-drawer th{font-weight:400;color:var(--dagnb-quiet);text-align:right;padding:1px 0 1px 8px}
.dagnb-drawer td{text-align:right;padding:1px 0 1px 8px}
.dagnb-drawer tr>:first-child{text-align:left;padding-left:0;color:var(--dagnb-quiet)}
.dagnb-drawer pre{margin:0;padding:7px 9px;max-height:190px;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;
 font:11.5px/1.45 var(--jp-code-font-family,ui-monospace,SFMono-Regular,Menlo,Consolas,monospace);
 background:var(--dagnb-stripe);color:var(--dagnb-text);border-radius:5px;border:0}
.dagnb-drawer pre.dagnb-bad{background:var(--dagnb-failed-soft);border-left:3px solid var(--dagnb-failed)}
.dagnb-drawer .dagnb-links{display:flex;flex-wrap:wrap;gap:4px}
.dagnb-drawer .dagnb-links button{height:22px;padding:0 7px;font-size:12px;max-width:100%;overflow:hidden;
 text-overflow:ellipsis;white-space:nowrap}
.dagnb-title em{font-style:normal;font-weight:600;font-size:12px;margin-left:8px;padding:1px 7px;border-radius:9px;
 background:var(--dagnb-accent);color:var(--dagnb-on-strong)}
.dagnb-compare{position:absolute;z-index:1;inset:0;overflow:auto;background:var(--dagnb-page)}
.dagnb-compare[hidden],.dagnb-knobs[hidden]{display:none}
.dagnb-compare table{border-collapse:collapse;width:100%;margin:0;font-size:12.5px;font-variant-numeric:tabular-nums;
 color:var(--dagnb-text);table-layout:auto;border:0}
.dagnb-compare thead th{position:sticky;top:0;z-index:1;background:var(--dagnb-page);text-align:right;font-weight:400;
 padding:3px 2px;height:30px;white-space:nowrap;box-shadow:inset 0 -1px var(--dagnb-border)}
.dagnb-compare thead button{border-color:transparent;height:22px;padding:0 6px;font-size:12px;color:var(--dagnb-quiet)}
.dagnb-compare th[aria-sort$=ending] button{color:var(--dagnb-text);font-weight:600}
.dagnb-compare tbody tr{cursor:pointer;background:transparent}
.dagnb-compare tbody tr:hover{background:var(--dagnb-stripe)}
.dagnb-compare tbody tr:focus-visible{outline:2px solid var(--dagnb-accent);outline-offset:-2px}
.dagnb-compare tbody tr[aria-selected=true]{background:var(--dagnb-stripe);box-shadow:inset 3px 0 var(--dagnb-accent)}
.dagnb-compare td{padding:4px 8px;text-align:right;white-space:nowrap;border:0;border-bottom:1px solid var(--dagnb-border);
 vertical-align:middle}
.dagnb-compare .dagnb-word{text-align:left;max-width:170px;overflow:hidden;text-overflow:ellipsis}
.dagnb-compare .dagnb-star{padding:0 0 0 8px;width:22px;color:var(--dagnb-done);text-align:center}
.dagnb-compare .dagnb-best .dagnb-word,.dagnb-compare .dagnb-best td:has(.dagnb-bar){font-weight:600}
.dagnb-compare .dagnb-wide{width:48%;min-width:140px;padding:4px 8px}
.dagnb-compare canvas{display:block;width:100%}
.dagnb-compare canvas.dagnb-axis{height:20px}
.dagnb-compare .dagnb-bar{display:block;height:3px;margin-top:2px;margin-left:auto;border-radius:2px;
 background:var(--dagnb-accent)}
.dagnb-compare .dagnb-failed{cursor:default}
.dagnb-compare .dagnb-failed td:last-child{color:var(--dagnb-failed);text-align:left;white-space:normal;
 overflow-wrap:anywhere}
.dagnb-knobs{display:flex;flex-wrap:wrap;align-items:center;gap:2px 18px;padding:4px 14px;font-size:12px;
 border-top:1px solid var(--dagnb-border);color:var(--dagnb-quiet);min-height:34px}
.dagnb-knobs label{display:inline-flex;align-items:center;gap:7px}
.dagnb-knobs output{min-width:74px;color:var(--dagnb-text);font-variant-numeric:tabular-nums}
.dagnb-knobs input[type=range]{width:120px;padding:0;border:0;background:transparent;accent-color:var(--dagnb-accent);
 height:20px}
.dagnb-knobs.dagnb-on .dagnb-if{color:var(--dagnb-accent);font-weight:600}
.dagnb-knobs button{height:22px;font-size:12px;margin-left:auto}
.dagnb-knobs button[hidden]{display:none}
.dagnb-unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
`;

/**
 * The widget's style sheet, adopted by its shadow root: a page's policy for styles does not concern it.
 *
 * Lengths are px and em of --relay-font-size, never rem: a page's root font size is its own. What a
 * page's elements inherit (letter-spacing, text-align, cursor and so on) ends at the panel.
 */
const STYLE = `
:host {
  --_font: var(--relay-font, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif);
  --_accent: var(--relay-accent, light-dark(#0b6b5d, #5fd0ba));
  --_on-accent: var(--relay-accent-text, light-dark(#ffffff, #06231e));
  --_background: var(--relay-background, light-dark(#ffffff, #15181b));
  --_surface: var(--relay-surface, light-dark(#f4f5f4, #1f2428));
  --_text: var(--relay-text, light-dark(#16191c, #eef1f0));
  --_muted: var(--relay-muted, light-dark(#59626a, #a2adb3));
  --_border: var(--relay-border, light-dark(#dfe3e2, #30373c));
  --_danger: var(--relay-danger, light-dark(#b3261e, #ff9d94));
  --_warn: var(--relay-warn, light-dark(#8a5300, #f1c069));
  --_radius: var(--relay-radius, 16px);
  --_side: max(16px, (100% - 736px) / 2);
  color-scheme: light dark;
  display: block;
  min-height: 416px;
  container-type: inline-size;
}
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
:host([hidden]) { display: none; }
.panel {
  all: initial;
  visibility: inherit; pointer-events: inherit; color-scheme: inherit;
  font: 400 var(--relay-font-size, 15px)/1.5 var(--_font); color: var(--_text);
  -webkit-text-size-adjust: 100%; text-size-adjust: 100%;
  display: flex; flex-direction: column; height: 100%; min-height: inherit; overflow: hidden; position: relative;
  background: var(--_background); border: 1px solid var(--_border); border-radius: var(--_radius);
}
*, ::before, ::after { box-sizing: border-box; }
[hidden] { display: none !important; }
.header { display: flex; align-items: center; gap: 12px; min-height: 65px; padding: 10px 16px; border-bottom: 1px solid var(--_border); }
.avatar {
  flex: none; display: grid; place-items: center; width: 36px; height: 36px; border-radius: 50%;
  background: color-mix(in oklab, var(--_accent) 14%, transparent); color: var(--_accent);
}
.who { flex: 1; min-width: 0; }
h2 { margin: 0; font-size: 1.067em; line-height: 1.3; font-weight: 620; letter-spacing: -0.006em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.status { margin: 0; display: flex; align-items: center; gap: 6px; color: var(--_muted); font-size: 0.8667em; line-height: 1.35; }
.dot { flex: none; width: 8px; height: 8px; border-radius: 50%; background: var(--_muted); }
[data-state="live"] .dot { background: var(--_accent); }
[data-state="connecting"] .dot, [data-state="queued"] .dot, [data-state="resuming"] .dot, [data-state="ending"] .dot { background: var(--_warn); }
button, select, textarea { font: inherit; color: inherit; }
textarea, select { font-size: max(16px, 1em); }
button { cursor: pointer; }
button:disabled { cursor: default; }
:focus-visible { outline: 2px solid var(--_accent); outline-offset: 2px; }
.icon {
  flex: none; display: grid; place-items: center; width: 44px; height: 44px; padding: 0;
  border: 1px solid transparent; border-radius: 50%; background: transparent; color: var(--_muted);
}
.icon:hover:enabled, .icon[aria-expanded="true"] { background: var(--_surface); color: var(--_text); }
.icon[aria-pressed="true"] { background: var(--_text); color: var(--_background); }
.icon.danger { color: var(--_danger); }
svg { width: 20px; height: 20px; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round; }
.view { flex: 1; min-height: 0; position: relative; display: flex; flex-direction: column; }
.log {
  flex: 1; min-height: 0; overflow-y: auto; overscroll-behavior: contain; padding: 16px var(--_side); overflow-anchor: none;
  display: flex; flex-direction: column; gap: 6px; scroll-padding: 16px;
}
.log::before { content: ""; margin-top: auto; }
.turn { max-width: min(85%, 544px); align-self: flex-start; }
.turn.user { align-self: flex-end; }
.turn:not(.same) { margin-top: 10px; }
.bubble {
  margin: 0; padding: 9px 14px; border-radius: 18px;
  background: var(--_surface); white-space: pre-wrap; overflow-wrap: anywhere; text-align: start; user-select: text;
}
.whole { white-space: nowrap; }
.bubble a { color: inherit; text-decoration: underline; text-underline-offset: 2px; }
.user .bubble a:focus-visible { outline-color: currentColor; }
.user .bubble {
  background: var(--_accent); color: var(--_on-accent);
}
/* The side is the log's, whatever the direction of the message. */
.assistant:dir(ltr) .bubble, .user:dir(rtl) .bubble { border-bottom-left-radius: 6px; }
.assistant:dir(rtl) .bubble, .user:dir(ltr) .bubble { border-bottom-right-radius: 6px; }
.partial .bubble { opacity: 0.7; font-style: italic; }
.user.waiting .bubble { background: color-mix(in oklab, var(--_accent) 90%, var(--_background)); }
.note { align-self: center; max-width: 95%; margin: 10px 0 0; color: var(--_muted); font-size: 0.8667em; text-align: center; }
.problem {
  margin: 12px 0 0; padding: 12px 16px; border-radius: 8px; border: 1px solid var(--_border);
  border-inline-start: 3px solid var(--_danger); background: var(--_background);
}
.problem p { margin: 0; }
.problem p:first-child { font-weight: 600; }
.problem p + p { color: var(--_muted); font-size: 0.9333em; }
.approval {
  margin: 12px 0 0; padding: 14px 16px; border-radius: 8px; border: 1px solid var(--_border);
  border-inline-start: 3px solid var(--_accent); background: var(--_background); display: grid; gap: 10px; max-width: 544px;
}
.approval p { margin: 0; overflow-wrap: anywhere; }
.approval .asked { font-weight: 600; }
.approval .decided { color: var(--_muted); }
.approval .choices { justify-content: flex-start; }
.approval dl { margin: 0; display: grid; grid-template-columns: auto 1fr; gap: 4px 12px; }
.approval dt { color: var(--_muted); overflow-wrap: anywhere; }
.approval dd { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.approval pre { margin: 0; font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; }
.newer {
  position: absolute; inset-block-end: 10px; inset-inline: 0; margin-inline: auto; width: fit-content; min-height: 44px; padding: 0 18px 0 14px;
  display: inline-flex; align-items: center; gap: 8px; border: 1px solid var(--_border); border-radius: 22px;
  background: var(--_background); color: var(--_text); font-size: 0.9333em; font-weight: 600; box-shadow: 0 2px 10px rgb(0 0 0 / 18%);
}
.newer:hover { background: var(--_surface); }
.typing { display: flex; gap: 5px; padding: 12px 14px; }
.typing i { width: 6px; height: 6px; border-radius: 50%; background: var(--_muted); }
.call { flex: none; max-height: 62%; overflow-y: auto; display: grid; gap: 12px; padding: 12px var(--_side); border-bottom: 1px solid var(--_border); background: var(--_surface); }
.controls { display: flex; flex-wrap: wrap; align-items: center; gap: 6px; }
.time { margin: 0; flex: 1 1 110px; font-size: 0.9333em; font-variant-numeric: tabular-nums; }
.call .icon { background: var(--_background); border-color: var(--_border); color: var(--_text); }
.call .icon[aria-pressed="true"], .call .icon[aria-expanded="true"] { background: var(--_text); border-color: var(--_text); color: var(--_background); }
#hear { justify-self: center; }
.call .icon.danger { background: light-dark(#b3261e, #c7372e); border-color: transparent; color: #fff; }
.meters { display: grid; grid-template-columns: auto 1fr; align-items: center; gap: 4px 12px; color: var(--_muted); font-size: 0.8667em; }
.meter { height: 6px; border-radius: 16px; overflow: hidden; background: var(--_border); }
.meter i { display: block; height: 100%; border-radius: inherit; background: var(--_accent); transform: scaleX(var(--level, 0)); transform-origin: left; }
.meter i:dir(rtl) { transform-origin: right; }
.keys { display: grid; grid-template-columns: repeat(3, 56px); justify-content: center; gap: 6px; }
.keys button { height: 44px; border: 1px solid var(--_border); border-radius: 10px; background: var(--_background); font-size: 1.133em; font-variant-numeric: tabular-nums; }
.keys button:active { background: var(--_accent); color: var(--_on-accent); }
.devices { display: grid; gap: 8px; }
.devices label { display: grid; gap: 3px; font-size: 0.8667em; color: var(--_muted); min-width: 0; }
select {
  appearance: none; width: 100%; min-width: 0; height: 44px; padding-block: 0; padding-inline: 10px 32px; text-overflow: ellipsis;
  border: 1px solid var(--_border); border-radius: 8px; color: var(--_text);
  background: linear-gradient(45deg, transparent 50%, currentcolor 0) right 16px center / 4.8px 4.8px no-repeat,
    linear-gradient(-45deg, transparent 50%, currentcolor 0) right 11.2px center / 4.8px 4.8px no-repeat, var(--_background);
}
select:dir(rtl) { background-position: left 11.2px center, left 16px center, 0 0; }
.composer { display: flex; align-items: flex-end; gap: 8px; padding: 12px max(12px, (100% - 736px) / 2); border-top: 1px solid var(--_border); }
textarea {
  flex: 1; min-width: 0; resize: none; field-sizing: content; height: auto; min-height: 44px; max-height: 144px;
  padding: 9px 16px; border: 1px solid light-dark(#868f95, #75828a); border-radius: 22px; background: var(--_background); line-height: 1.5;
}
textarea::placeholder { color: var(--_muted); opacity: 1; }
textarea:focus-visible { outline-offset: -1px; border-color: var(--_accent); }
.primary {
  min-height: 44px; padding: 8px 20px; border: 1px solid transparent; border-radius: 22px;
  background: var(--_accent); color: var(--_on-accent); font-weight: 600; display: inline-flex; align-items: center; justify-content: center; gap: 8px;
}
.primary:hover:enabled { background: color-mix(in oklab, var(--_accent) 88%, var(--_text)); }
.primary:disabled { background: var(--_surface); color: var(--_muted); }
.primary.quiet { background: transparent; border-color: var(--_border); color: var(--_text); }
.primary.quiet:hover:enabled { background: var(--_surface); }
.composer .primary { flex: none; width: 44px; padding: 0; }
.start { display: grid; gap: 16px; padding: 16px; border-top: 1px solid var(--_border); }
.start.alone { flex: 1; place-content: center; justify-items: center; text-align: center; border-top: 0; padding: 32px 24px; }
.start p { margin: 0; color: var(--_muted); max-width: 416px; text-wrap: balance; }
.choices { display: flex; flex-wrap: wrap; gap: 8px; justify-content: center; }
.panel:focus { outline: none; }
.spoken { position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@container (max-width: 384px) {
  .header, .log, .call { padding-inline: 12px; }
  .composer { padding: 10px; }
  .turn { max-width: 92%; }
  .choices, .choices .primary { width: 100%; }
  .call.dialling .meters { display: none; }
}
@media (prefers-reduced-motion: no-preference) {
  .icon, .primary { transition: background-color 0.15s, color 0.15s; }
  .turn, .note, .problem { animation: rise 0.2s ease-out; }
  .typing i { animation: breathe 1.2s infinite ease-in-out; }
  .typing i:nth-child(2) { animation-delay: 0.15s; }
  .typing i:nth-child(3) { animation-delay: 0.3s; }
  @keyframes rise { from { opacity: 0; translate: 0 6px; } }
  @keyframes breathe { 0%, 60%, 100% { opacity: 0.35; } 30% { opacity: 1; } }
}
@media (forced-colors: active) {
  .bubble, .primary, .icon { border: 1px solid; }
  .meter i, .dot { background: Highlight; forced-color-adjust: none; }
}
`;

/** Give an element's shadow root its style sheet, of the document that the element is in. */
export function adoptStyle(element) {
  const { CSSStyleSheet } = element.ownerDocument.defaultView ?? globalThis;
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  element.shadowRoot.adoptedStyleSheets = [sheet];
}

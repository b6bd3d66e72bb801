// What the parts of the stage share: each is a mount of its own, so that what one needs is not sent
// again with another; they meet here. The files of this folder are one script, in the order that
// component.py says. All words are set as text, never as HTML.
const stage = (globalThis.moralscopeStage ??= {
  strengths: {}, // of the sliders, as the hand has them
  marks: [], // texts on the map
  settled: null, // where the points really lie, at some strengths
  heard: new EventTarget(),
});

const SETTLE_MS = 300;
const STILL_MS = SETTLE_MS + 100; // thumbs that lie still so long are let be

const make = (name, owner, words = "") => {
  const one = document.createElement(name);
  one.textContent = words;
  owner?.append(one);
  return one;
};
const percent = (value) =>
  value === 0 ? "0 %" : `${value > 0 ? "+" : "−"}${Math.abs(value)} %`;

// As people write it: .21, not 0.21.
const short = (value) => value.toFixed(2).replace(/^0(?=\.)/, "");

// Whether the sliders stand at some strengths.
const isAt = (strengths) =>
  Object.entries(strengths).every(([name, value]) => Math.abs((stage.strengths[name] ?? 0) - value) < 1e-9);

function tell(strengths) {
  stage.strengths = strengths;
  stage.heard.dispatchEvent(new Event("moved"));
}

// Where Streamlit calls: a mount names the part that it is.

// What the server finds when the hand lets go: it goes to the map and is itself not seen.
class Found {
  constructor(root) {
    make("span", root).hidden = true;
  }

  end() {
    this.update({ marks: [], settled: null });
  }

  update({ marks, settled }) {
    stage.marks = marks;
    // Said again, it does not set off again.
    const said = JSON.stringify(settled);
    if (said !== this.said) stage.settled = settled && { ...settled, since: performance.now() };
    this.said = said;
    stage.heard.dispatchEvent(new Event("moved"));
  }
}

const PARTS = { sliders: Sliders, map: Picture, found: Found };

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const root = parentElement.querySelector(".stage");
  root.drawn ??= new PARTS[data.part](root);
  root.drawn.report = (strengths) => setStateValue("strengths", strengths);
  root.drawn.update(data);
  // Called before each new call as well: what stays on the page goes on.
  return () => setTimeout(() => {
    if (!root.isConnected) root.drawn.end();
  });
}

// What the page does without asking the server: hide what does not apply, keep a slider and its number alike,
// tell light from dark, keep the link in the address, and make keyboard and screen reader reach everything.
(() => {
  const kept = () => window.dash_clientside.no_update; // Dash is loaded after this file
  const set_props = (...given) => window.dash_clientside.set_props(...given);
  const triggered = () => window.dash_clientside.callback_context.triggered_id;
  const SETTLED = 300; // milliseconds without a change, before anything long begins; on a slow machine more
  let waiting = null, moved = null;

  const written = (x) => {
    const short = Number(x.toPrecision(3));
    return short < 0.01 ? short.toExponential().replace("e-0", "e-") : String(short);
  };

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    explorer: {
      screen: () => {
        const dark = window.matchMedia("(prefers-color-scheme: dark)");
        const narrow = window.matchMedia("(max-width: 860px)");
        const seen = () => ({ dark: dark.matches, narrow: narrow.matches });
        dark.onchange = narrow.onchange = () => set_props("screen", { data: seen() });
        return seen();
      },
      lower: (slider, number) => {
        moved = performance.now();
        if (triggered() === "lower") return [kept(), written(10 ** slider)];
        const x = Number(number);
        return [x > 0 ? Math.log10(x) : kept(), kept()];
      },
      alike: (slider, number) => {
        moved = performance.now();
        const by = triggered();
        if (by && !by.endsWith("-number")) return [kept(), slider];
        return [number === null || number === undefined ? kept() : number, kept()];
      },
      degrees: (longer, shorter, text) => {
        const listed = (text || "").split(/[\s,;]+/).filter(Boolean).flatMap((part) => {
          const [degree, times] = part.split(/[x×*]/);
          return Array(Math.min(Number(times || 1) || 1, 12)).fill(degree);
        });
        if (triggered() === "longer" && listed.length) listed.push(listed[listed.length - 1]);
        if (triggered() === "shorter" && listed.length > 1) listed.pop();
        return listed.join(", ");
      },
      visible: (goal, purpose, safety) => {
        const shown = [
          purpose === "root", goal !== "band", goal !== "products", goal === "products", goal === "band",
          safety === "own", safety === "own", safety === "own",
        ];
        return shown.map((one) => ({ display: one ? "" : "none" }));
      },
      tabs: (tab) => ["design", "compare", "run", "take"].map((one) => one !== tab),
      later: (figures) => {
        if (figures) window.requestAnimationFrame(() => window.setTimeout(() => {
          set_props("steps-figure", { figure: figures.steps });
          const box = document.getElementById("difference-box");
          if (box.hidden === !!figures.difference) set_props("difference-box", { hidden: !figures.difference });
          if (figures.difference) set_props("difference-figure", { figure: figures.difference });
        }));
        return kept();
      },
      settle: (made) => {
        window.clearTimeout(waiting);
        const took = moved === null ? 0 : Math.min(performance.now() - moved, 2000);
        moved = null;
        if (!made) return kept();
        window.history.replaceState(null, "", made.query ? `?${made.query}` : window.location.pathname);
        waiting = window.setTimeout(() => set_props("settled", { data: made }), Math.max(SETTLED, 1.5 * took));
        return window.location.href;
      },
    },
  });

  const reachable = () => {
    document.querySelectorAll(".copy:not([tabindex])").forEach((one) => {
      one.setAttribute("role", "button");
      one.setAttribute("tabindex", "0");
      one.setAttribute("aria-label", `copy: ${one.title}`);
      one.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          one.click();
        }
      });
    });
    document.querySelectorAll("[role=slider]:not([aria-label])").forEach((one) => {
      const row = one.closest(".row");
      const label = row && row.querySelector("label");
      if (label) one.setAttribute("aria-label", label.textContent);
    });
    document.querySelectorAll("input[type=file]:not([aria-label])").forEach((one) => {
      one.setAttribute("aria-label", "choose a source file");
    });
  };
  new MutationObserver(reachable).observe(document.documentElement, { childList: true, subtree: true });
})();

import { createElement } from "react";
import { createRoot } from "react-dom/client";
import { Streamdown } from "streamdown";

window.contenders.streamdown = (host) => {
  const root = createRoot(host);
  let source = "";
  const show = (isAnimating) => root.render(createElement(Streamdown, { isAnimating }, source));
  return {
    add(text) {
      source += text;
      show(true);
    },
    end: () => show(false),
    close: () => root.unmount(),
  };
};

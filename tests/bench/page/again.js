// A parser that writes HTML: for each frame all of it is written, made safe and set again.

import DOMPurify from "dompurify";

export function again(parse) {
  return (host) => {
    let source = "";
    const show = () => {
      host.innerHTML = DOMPurify.sanitize(parse(source));
    };
    return {
      add(text) {
        source += text;
        show();
      },
      end() {},
      close() {},
    };
  };
}

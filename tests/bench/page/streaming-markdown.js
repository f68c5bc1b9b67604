import { default_renderer, parser, parser_end, parser_write } from "streaming-markdown";

window.contenders["streaming-markdown"] = (host) => {
  const made = parser(default_renderer(host));
  return {
    add: (text) => parser_write(made, text),
    end: () => parser_end(made),
    close() {},
  };
};

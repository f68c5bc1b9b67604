// What a page can do at best: the text as it is, in a block for each that the text has.

window.contenders.text = (host) => {
  let shown;
  let ended = true;
  return {
    add(text) {
      for (const piece of text.split(/(?<=\n\n)/)) {
        if (ended) {
          const block = document.createElement("p");
          block.style.whiteSpace = "pre-wrap";
          shown = document.createTextNode("");
          block.append(shown);
          host.append(block);
        }
        shown.appendData(piece);
        ended = shown.data.endsWith("\n\n");
      }
    },
    end() {},
    close() {},
  };
};

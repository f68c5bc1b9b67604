// Loses messages between the kernel and the page's widgets, as a busy kernel's socket does: every
// third one, and each one that would replace an output or set the state that outlives messages.
// Where a test has put a function at `window.loses`, that one says which custom messages are lost.
(() => {
  const decoder = new TextDecoder();
  window.lost = 0;
  let count = 0;

  // The binary form of the kernel's messages: a number of offsets, the offsets, the parts.
  function parse(buffer) {
    const data = new DataView(buffer);
    const part = (index) =>
      decoder.decode(
        new Uint8Array(buffer).slice(
          Number(data.getBigUint64(8 * (index + 1), true)),
          Number(data.getBigUint64(8 * (index + 2), true)),
        ),
      );
    return { header: JSON.parse(part(1)), content: JSON.parse(part(4)) };
  }

  function isLost(message) {
    if (!(message.data instanceof ArrayBuffer)) return false;
    const { header, content } = parse(message.data);
    if (window.loses) return header.msg_type === "comm_msg" && window.loses(content.data.content);
    if (header.msg_type === "update_display_data") return true;
    if (header.msg_type !== "comm_msg") return false;
    if (content.data.state?.snapshot) return true;
    count += 1;
    return count % 3 === 0;
  }

  window.WebSocket = class extends WebSocket {
    set onmessage(listener) {
      super.onmessage = (message) => {
        if (isLost(message)) window.lost += 1;
        else listener.call(this, message);
      };
    }
  };
})();

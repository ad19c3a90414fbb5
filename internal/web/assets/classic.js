// The classic page: a text area, an input, a Send button and one WebSocket.
// It joins once and does not come back by itself; the chat app does.

const scheme = document.location.protocol === "https:" ? "wss://" : "ws://";
// The page's own query goes along, so that /classic?channel=news works too.
const socket = new WebSocket(scheme + document.location.host + "/websocket" + document.location.search);
const messages = document.getElementById("messages");
const message = document.getElementById("message");
const send = document.getElementById("send");
const state = document.getElementById("state");

// A text area that grows for ever would end the tab; this is some 10,000 lines.
const keepCharacters = 1_000_000;

socket.onopen = () => {
  socket.send(JSON.stringify({ content: "has joined the chat" }));
  send.disabled = false;
};

socket.onmessage = (event) => {
  messages.value = (messages.value + event.data + "\n").slice(-keepCharacters);
  messages.scrollTop = messages.scrollHeight;
};

socket.onclose = () => {
  send.disabled = true;
  state.textContent = "Disconnected. Reload the page to join again.";
};

send.onclick = () => {
  socket.send(JSON.stringify({ content: message.value }));
  message.value = "";
  message.focus();
};

message.onkeydown = (event) => {
  if (event.key === "Enter" && !event.isComposing && !send.disabled) send.click();
};

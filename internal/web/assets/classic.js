// The classic page: a text area, an input, a Send button and one WebSocket.
// It joins once and does not come back by itself; the chat app does.

const scheme = document.location.protocol === "https:" ? "wss://" : "ws://";
// The page's own query goes along, so that /classic?channel=news works too, and
// the token of /classic#token=TOKEN, which is taken out of the address at once.
const query = new URLSearchParams(document.location.search);
const token = new URLSearchParams(document.location.hash.slice(1)).get("token");
if (token) {
  query.set("token", token);
  history.replaceState(null, "", document.location.pathname + document.location.search);
}
const socket = new WebSocket(scheme + document.location.host + "/websocket" + (query.size > 0 ? "?" + query : ""));
const messages = document.getElementById("messages");
const message = document.getElementById("message");
const send = document.getElementById("send");
const state = document.getElementById("state");

// A text area that grows for ever would end the tab; this is some 10,000 lines.
const keepCharacters = 1_000_000;

let joined = false;
const howToJoin = document.body.dataset.open === "true"
  ? "Is it running, and is its address the one of this page?"
  : "If it asks for a token, open /classic#token=TOKEN with one from the application that this chat belongs to.";

socket.onopen = () => {
  joined = true;
  socket.send(JSON.stringify({ content: "has joined the chat" }));
  send.disabled = false;
};

socket.onmessage = (event) => {
  messages.value = (messages.value + event.data + "\n").slice(-keepCharacters);
  messages.scrollTop = messages.scrollHeight;
};

socket.onclose = () => {
  send.disabled = true;
  state.textContent = joined ? "Disconnected. Reload the page to join again." : "The server did not let this page join. " + howToJoin;
};

send.onclick = () => {
  socket.send(JSON.stringify({ content: message.value }));
  message.value = "";
  message.focus();
};

message.onkeydown = (event) => {
  if (event.key === "Enter" && !event.isComposing && !send.disabled) send.click();
};

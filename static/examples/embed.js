// Everything the element does, it also tells.
const count = document.getElementById("count");

document.addEventListener("leadout-delta", (event) => {
  count.value = String(Number(count.value) + event.detail.tokens.length);
});

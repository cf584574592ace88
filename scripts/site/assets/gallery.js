// Shows the tables that have every word of the filter, and says how many those are; ?q=WORDS fills it.
const filter = document.querySelector(".filter input");
if (filter) {
  const cards = [...document.querySelectorAll(".card")];
  const texts = cards.map((card) => card.textContent.toLowerCase());
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    cards.forEach((card, k) => { card.hidden = !words.every((word) => texts[k].includes(word)); });
    for (const group of document.querySelectorAll(".cards")) {
      group.previousElementSibling.hidden = group.hidden = !group.querySelector(".card:not([hidden])");
    }
    const shown = cards.filter((card) => !card.hidden).length;
    document.querySelector(".filter output").textContent = `${shown} of ${cards.length} tables`;
  };
  filter.value = new URLSearchParams(location.search).get("q") ?? "";
  filter.addEventListener("input", apply);
  apply();
}

// Shows the tables that have every word of the filter, and says how many those are.
const filter = document.querySelector(".filter input");
if (filter) {
  const cards = [...document.querySelectorAll(".card")];
  const texts = cards.map((card) => card.textContent.toLowerCase());
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    cards.forEach((card, k) => { card.hidden = !words.every((word) => texts[k].includes(word)); });
    document.querySelector(".filter output").value = `${cards.filter((card) => !card.hidden).length} of ${cards.length} tables`;
  };
  filter.addEventListener("input", apply);
  apply();
}

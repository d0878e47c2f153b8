/** Works a list off with so many at a time, in the list's order. Rejects with the first error. */
export async function inLanes<Item>(lanes: number, items: readonly Item[], work: (item: Item, index: number) => Promise<void>): Promise<void> {
  const rest = items.entries();
  const lane = async () => {
    for (const [index, item] of rest) await work(item, index);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

// One value that everything on the page is drawn from. A change is a pure function of the value; whoever listens is
// told once a frame, however many changes came, and only when something it needs is another one: `needs` lists it.

export function createStore(value, schedule = requestAnimationFrame) {
  const listeners = [];
  let due = false;
  const flush = () => {
    due = false;
    for (const tell of listeners) tell(value);
  };
  return {
    get: () => value,
    listen(listener, needs = (whole) => [whole]) {
      const told = memo(() => listener(value));
      listeners.push((whole) => told(...needs(whole)));
    },
    flush,
    change(how, ...more) {
      const next = how(value, ...more);
      if (next === value) return;
      value = next;
      if (!due) schedule(() => due && flush());
      due = true;
    },
  };
}

// The last answer again while the arguments are the same ones.
export function memo(compute) {
  let last = null;
  let answer;
  return (...given) => {
    if (!last || given.some((value, index) => value !== last[index])) {
      answer = compute(...given);
      last = given;
    }
    return answer;
  };
}

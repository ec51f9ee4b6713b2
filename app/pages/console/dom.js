/** Small helpers for the document. */

export const $ = (id) => document.getElementById(id);

export function make(tag, className = '', text = '') {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

export function button(text, className = '', onClick = null) {
  const node = make('button', className, text);
  node.type = 'button';
  if (onClick) node.addEventListener('click', onClick);
  return node;
}

/** Set a text only where it differs: a screen reader is told of changes alone. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A text in an element that is hidden while there is none. */
export function tell(node, text) {
  say(node, text);
  node.hidden = !text;
}

/** Terms and figures into a list, touching only what changed. */
export function fill(list, cells, wrapped) {
  if (list.childElementCount !== cells.length * (wrapped ? 1 : 2)) {
    list.replaceChildren(...cells.flatMap(([name]) => {
      const pair = [make('dt', '', name), make('dd')];
      if (!wrapped) return pair;
      const cell = make('div');
      cell.append(...pair);
      return [cell];
    }));
  }
  const names = list.querySelectorAll('dt');
  const figures = list.querySelectorAll('dd');
  cells.forEach(([name, figure, unit = ''], at) => {
    if (names[at].textContent !== name) names[at].textContent = name;
    const text = `${figure}${unit}`;
    if (figures[at].dataset.text === text) return;
    figures[at].dataset.text = text;
    figures[at].replaceChildren(figure, ...(unit ? [' ', make('small', '', unit)] : []));
  });
}

/** Ask in a dialog of the page: the value of the button that closed it. */
export function asked(dialog) {
  dialog.returnValue = 'no';
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener('close', () => done(dialog.returnValue), { once: true });
  });
}

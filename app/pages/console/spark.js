/** A line of a session's frames per second. */

const POINTS = 60;

let colours;
const dark = matchMedia('(prefers-color-scheme: dark)');
const paint = () => (colours = dark.matches
  ? { line: '#5fd0ba', area: '#5fd0ba33', base: '#3d464c' }
  : { line: '#0b6b5d', area: '#0b6b5d26', base: '#cfd5d4' });
dark.addEventListener('change', paint);
paint();

/** The rates of the last minute, now at the right, over a base line. A steady rate leaves room for a peak above it. */
export function draw(canvas, points) {
  const pen = canvas.getContext('2d');
  const { width, height } = canvas;
  const base = height - 4;
  pen.clearRect(0, 0, width, height);
  pen.lineJoin = 'round';
  pen.lineWidth = 2;
  pen.strokeStyle = colours.base;
  pen.beginPath();
  pen.moveTo(0, base);
  pen.lineTo(width, base);
  pen.stroke();
  if (points.length < 2) return;
  const mean = points.reduce((sum, one) => sum + one, 0) / points.length;
  const top = Math.max(1, 2 * mean, ...points);
  const x = (at) => width - 2 - ((points.length - 1 - at) / (POINTS - 1)) * (width - 4);
  const y = (rate) => base - (rate / top) * (base - 4);
  pen.beginPath();
  points.forEach((rate, at) => (at ? pen.lineTo(x(at), y(rate)) : pen.moveTo(x(at), y(rate))));
  pen.lineWidth = 3;
  pen.strokeStyle = colours.line;
  pen.stroke();
  pen.lineTo(x(points.length - 1), base);
  pen.lineTo(x(0), base);
  pen.fillStyle = colours.area;
  pen.fill();
}

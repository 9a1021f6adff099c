/* What the points of the map can be coloured by. */
(function (rt) {
  "use strict";

  /** What rows can be coloured by: names, whether amounts or kinds, and the value of a row. */
  rt.colourings = function (state) {
    const { rows } = state, { pool } = rows, found = [], order = () => state.order;
    if (order()) {
      if (rows.orders.some((one) => one.round)) {
        found.push({ key: "round", name: "round", amount: true, whole: true, of: (row) => none16(order().round ? order().round[row] : rt.NONE16) });
      }
      found.push({ key: "place", name: "place in the order", amount: true, whole: true,
        of: (row) => (order().position[row] === rt.NONE32 ? NaN : order().position[row] + 1) });
      if (rows.orders.some((one) => one.similarity)) {
        found.push({ key: "similarity", name: "similarity", amount: true, of: (row) => (order().similarity ? order().similarity[row] : NaN) });
      }
      if (rows.orders.length > 1) {
        found.push({ key: "order", name: "order that has it first", of: (row) => earliest(rows.orders, row),
          label: (code) => rows.orders[code].name + " (" + rows.orders[code].method + ")", always: true });
      }
    }
    if (pool.task && rows.names.task.length) found.push({ key: "task", name: "task", of: (row) => none16(pool.task[row]), label: (code) => rows.names.task[code] });
    if (pool.source && rows.names.source.length > 1) {
      found.push({ key: "source", name: "source", of: (row) => none16(pool.source[row]), label: (code) => rows.names.source[code] });
    }
    if (rows.names.reason.length) {
      found.push({ key: "reason", name: "reason for leaving out", of: (row) => none16(order().reason[row]), label: (code) => rows.names.reason[code], out: true });
    }
    return found;
  };

  const none16 = (value) => (value === rt.NONE16 ? NaN : value);

  function earliest(orders, row) {
    let best = NaN, first = Infinity;
    orders.forEach((order, at) => {
      const share = order.position[row] === rt.NONE32 ? Infinity : order.position[row] / order.n;
      if (share < first) { first = share; best = at; }
    });
    return best;
  }

  /** The first value that a colouring has of any row; NaN where the order has none, as random orders have no rounds. */
  rt.firstOf = function (colouring, n) {
    for (let row = 0; row < n; row++) if (!Number.isNaN(colouring.of(row))) return colouring.of(row);
    return NaN;
  };
})(righttime);

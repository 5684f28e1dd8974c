"""A graph under construction: operators by name, arrays as constants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPSETS = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 9
TRADITIONAL = ("LabelEncoder", "TreeEnsembleRegressor")  # of ai.onnx.ml
MOST_BYTES = 2**31 - 1  # of one protobuf message

Value = str  # name of a tensor in the graph
Input = str | NDArray[Any]
Chunk = Callable[..., Value]


class Graph:
    """Operators in the order they run.

    Raises
    ------
    ImportError
        Without the package onnx, which the extra ``onnx`` brings.
    """

    def __init__(self, outer: Graph | None = None) -> None:
        try:
            import onnx
        except ImportError as error:
            raise ImportError("to_onnx needs onnx: pip install 'jointprob[onnx]'") from error
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._names: Iterator[int] = outer._names if outer else count()
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Any] = (
            outer._constants if outer else {}
        )
        self._taken: set[str] = outer._taken if outer else set()  # by inputs and outputs
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def __call__(self, op: str, *inputs: Input, **attributes: Any) -> Value:
        """Add an operator of one output; arrays become constants. Returns its output."""
        names = [self.constant(x) if isinstance(x, np.ndarray) else x for x in inputs]
        domain = "ai.onnx.ml" if op in TRADITIONAL else ""
        output = self._new(op)
        node = self._onnx.helper.make_node(op, names, [output], domain=domain, **attributes)
        self._nodes.append(node)
        return output

    def _new(self, stem: str) -> str:
        """A name for a tensor; no column is called so."""
        return next(name for i in self._names if (name := f"{stem}_{i}") not in self._taken)

    def in_chunks(
        self, inputs: list[Value], size: int, made: tuple[Any, int], each: Chunk
    ) -> Value:
        """Something made of some rows at a time, (n_rows, n_made).

        Parameters
        ----------
        inputs : list of (n_rows, ...)
        size : int
            Rows of a chunk, at most; the last chunk is filled up with the last row.
        made : dtype, int
            Of what is made, and how many numbers a row gets.
        each : callable
            Is given a graph and a chunk of each input in it; returns (n_chunk, n_made).
        """
        dtype, n_made = made
        n_rows = self("Gather", self("Shape", inputs[0]), np.array(0))
        step = self("Max", self("Min", n_rows, np.array(size)), np.array(1))
        n_chunks = self("Div", self("Sub", self("Add", n_rows, step), np.array(1)), step)
        steps = self("Range", np.array(0), step, np.array(1))
        end = self("Sub", n_rows, np.array(1))
        body, kinds = Graph(self), self._onnx.TensorProto
        index, go_on = (self._new(stem) for stem in ("index", "go_on"))
        rows = body("Min", body("Add", body("Mul", index, step), steps), end)
        parts = [body("Gather", x, rows) for x in inputs]
        going, out = body("Identity", go_on), body("Identity", each(body, *parts))
        declare, helper = self._onnx.helper.make_tensor_value_info, self._onnx.helper
        inner = helper.make_graph(
            body._nodes,
            "chunk",
            [declare(index, kinds.INT64, []), declare(go_on, kinds.BOOL, [])],
            [
                declare(going, kinds.BOOL, []),
                declare(out, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), [None, n_made]),
            ],
        )
        chunks = self("Loop", n_chunks, "", body=inner)
        every = self("Unsqueeze", self("Mul", n_chunks, step), np.array([0]))
        whole = self("Reshape", chunks, self("Concat", every, np.array([n_made]), axis=0))
        last = self("Unsqueeze", n_rows, np.array([0]))
        return self("Slice", whole, np.array([0]), last, np.array([0]))

    def constant(self, array: NDArray[Any]) -> Value:
        """A tensor that the graph holds; equal ones are held once."""
        text = array.dtype.kind in "OU"
        key = (
            str(array.dtype),
            array.shape,
            repr(array.tolist()).encode() if text else array.tobytes(),
        )
        if key not in self._constants:
            name = self._new("table")
            own = array.astype(object) if text else np.asarray(array, order="C")
            self._constants[key] = self._onnx.numpy_helper.from_array(own, name)
        return str(self._constants[key].name)

    def input(self, name: str, n_columns: int, text: bool = False) -> Value:
        """An input (n_rows, n_columns) of strings or float64."""
        kind = self._onnx.TensorProto.STRING if text else self._onnx.TensorProto.DOUBLE
        shape: list[str | int | None] = ["n_rows", n_columns]
        self._taken.add(name)
        self._inputs.append(self._onnx.helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, value: Value, name: str, dtype: Any, n_columns: int | None = None) -> None:
        """Name an output, (n_rows,) or (n_rows, n_columns); if a column is so called, `_name`."""
        helper = self._onnx.helper
        while name in self._taken:
            name = f"_{name}"
        self._taken.add(name)
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        shape = ["n_rows"] if n_columns is None else ["n_rows", n_columns]
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def model(self) -> Any:
        """The finished model, an ``onnx.ModelProto``.

        Raises
        ------
        ValueError
            If it is larger than ONNX allows.
        """
        helper = self._onnx.helper
        tables = [*self._constants.values()]
        graph = helper.make_graph(self._nodes, "jointprob", self._inputs, self._outputs, tables)
        opsets = [helper.make_opsetid(*opset) for opset in OPSETS.items()]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="jointprob"
        )
        if model.ByteSize() > MOST_BYTES:
            raise ValueError(
                f"the model takes {model.ByteSize()} bytes; an ONNX file holds at most {MOST_BYTES}"
            )
        return model

    # ---- what several stages say ----

    def sum_up(self, values: list[Value]) -> Value:
        """Sum of tensors of one shape."""
        total = values[0]
        for value in values[1:]:
            total = self("Add", total, value)
        return total

    def reduce(self, op: str, value: Input, axis: int, keep: bool = False) -> Value:
        """ReduceSum and its like over one axis."""
        return self(op, value, np.array([axis]), keepdims=int(keep))

    def reshape(self, value: Value, *shape: int) -> Value:
        return self("Reshape", value, np.array(shape, np.int64))

    def cast(self, value: Value, dtype: Any) -> Value:
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self("Cast", value, to=kind)

    def count_below(self, x: Value, keys: list[NDArray[np.float64]], equal: bool) -> Value:
        """How many of its column's keys lie below each cell, int64 (n_rows, n_columns).

        Parameters
        ----------
        x : float64 (n_rows, n_columns)
        keys : list of float64 (n_keys,)
            Ascending, of each column.
        equal : bool
            Whether keys equal to the cell count.
        """
        n_steps = max(len(own) for own in keys).bit_length()
        width = 1 << n_steps
        flat = np.full((len(keys), width), np.inf)
        for row, own in zip(flat, keys, strict=True):
            row[: len(own)] = own
        start = width * np.arange(len(keys))[None]
        found = self("Where", self("IsNaN", x), start, start)  # of the rows' shape
        for half in (1 << step for step in reversed(range(n_steps))):
            key = self("Gather", flat.ravel(), self("Add", found, np.array(half - 1)))
            below = self("LessOrEqual" if equal else "Less", key, x)
            found = self("Add", found, self("Mul", self.cast(below, np.int64), np.array(half)))
        return self("Sub", found, start)

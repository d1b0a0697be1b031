"""Four squared distances times sixteen lanes at a time, as vectors of the processor.

A tile holds 16 points feature-major: point `lane` has its feature f at tile + 16 f + lane. A row holds one point,
feature f at row + f. Each distance is summed along the features in their order with fused multiply-adds, so its bits
depend on the two points alone. Written in LLVM: the compiler's own vectors reach half the speed and less.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from selection_job.numeric.trees.ball_tree import LANES

PAIRS = 4
"""Tile and row pairs of one call."""

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_FLAT = types.Array(types.float32, 1, "C")
_GIVEN = types.Array(types.float32, 1, "C", readonly=True)


def _pointer(context: Any, builder: Any, array: Any, offset: Any) -> Any:
    return builder.gep(context.make_array(_FLAT)(context, builder, array).data, [offset])


def _load(builder: Any, pointer: Any) -> Any:
    return builder.load(builder.bitcast(pointer, _FLOATS.as_pointer()), align=4)


def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, builder.bitcast(pointer, _FLOATS.as_pointer()), align=4)


def _add_square(builder: Any, value: Any, total: Any) -> Any:
    """Return value * value + total, rounded once."""
    of_floats = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
    fma = cgutils.get_or_insert_function(builder.module, of_floats, f"llvm.fma.v{LANES}f32")
    return builder.call(fma, [value, value, total])


def _spread(builder: Any, scalar: Any) -> Any:
    """Return a vector whose lanes all hold the scalar."""
    first = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), scalar, ir.IntType(32)(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


@intrinsic  # type: ignore[untyped-decorator]
def add_squares(  # noqa: PLR0913, PLR0917 - an intrinsic takes no tuples
    typing: Any, tiles: Any, t0: Any, t1: Any, t2: Any, t3: Any, rows: Any, r0: Any, r1: Any, r2: Any, r3: Any,
    first: Any, last: Any, sums: Any,
) -> Any:  # fmt: skip
    """For pair j add (tile feature - row feature)^2, features first to last, to sums[16 j ...]."""
    integers = (types.int64,) * 4
    signature = types.void(_FLAT, *integers, _GIVEN, *integers, types.int64, types.int64, _FLAT)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        tile_data, row_data = arguments[0], arguments[5]
        begin, end, sums_data = arguments[10:]
        sum_at = [_pointer(context, builder, sums_data, ir.IntType(64)(LANES * j)) for j in range(PAIRS)]
        totals = [cgutils.alloca_once_value(builder, _load(builder, pointer)) for pointer in sum_at]
        with cgutils.for_range_slice(builder, begin, end, ir.IntType(64)(1)) as (feature, _count):
            step = builder.mul(feature, ir.IntType(64)(LANES))
            for j in range(PAIRS):
                tile = _pointer(context, builder, tile_data, builder.add(arguments[1 + j], step))
                row = _pointer(context, builder, row_data, builder.add(arguments[6 + j], feature))
                difference = builder.fsub(_load(builder, tile), _spread(builder, builder.load(row)))
                builder.store(_add_square(builder, difference, builder.load(totals[j])), totals[j])
        for j in range(PAIRS):
            _store(builder, builder.load(totals[j]), sum_at[j])
        return context.get_dummy_value()

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]
def find_below(typing: Any, sums: Any, limits: Any, l0: Any, l1: Any, l2: Any, l3: Any) -> Any:
    """Return an int64 whose bit 16 j + lane says sums[16 j + lane] < limits[l_j + lane]."""
    signature = types.int64(_FLAT, _FLAT, *(types.int64,) * 4)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        found = ir.IntType(64)(0)
        for j in range(PAIRS):
            total = _load(builder, _pointer(context, builder, arguments[0], ir.IntType(64)(LANES * j)))
            limit = _load(builder, _pointer(context, builder, arguments[1], arguments[2 + j]))
            bits = builder.bitcast(builder.fcmp_ordered("<", total, limit), ir.IntType(LANES))
            bits = builder.zext(bits, ir.IntType(64))
            found = builder.or_(found, builder.shl(bits, ir.IntType(64)(LANES * j)))
        return found

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]
def lower_to(typing: Any, sums: Any, limits: Any, l0: Any, l1: Any, l2: Any, l3: Any) -> Any:
    """Set limits[l_j + lane] to sums[16 j + lane] where that is smaller."""
    signature = types.void(_FLAT, _FLAT, *(types.int64,) * 4)

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        for j in range(PAIRS):
            total = _load(builder, _pointer(context, builder, arguments[0], ir.IntType(64)(LANES * j)))
            pointer = _pointer(context, builder, arguments[1], arguments[2 + j])
            limit = _load(builder, pointer)
            is_smaller = builder.fcmp_ordered("<", total, limit)
            _store(builder, builder.select(is_smaller, total, limit), pointer)
        return context.get_dummy_value()

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit(typing: Any, bits: Any) -> Any:
    """Return the place of the lowest bit that is set, 0 to 63; 64 for none."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.IntType(1)(0))

    return types.int64(types.int64), generate

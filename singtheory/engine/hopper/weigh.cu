// `reference.weigh`: exp(log weight − top) as whole numbers of DIGITS digits, and sums of them.

#include "hopper.cuh"

constexpr double power(int exponent) { return exponent ? 256 * power(exponent - 1) : 1; }

constexpr double FULL = 127 * power(DIGITS - 1), BIAS = 128 * (power(DIGITS - 1) - 1) / 255, TWO_52 = 4503599627370496.0;
constexpr u64 INFINITE_BITS = 0x7FF0000000000000;

// a whole number of 32 bits as float64: written behind the 1 of 2^52
__device__ __forceinline__ double converted(int whole) {
    return __hiloint2double(0x43300000, whole ^ 0x80000000) - (TWO_52 + 2147483648.0);
}

// e^x for −700 ≤ x < 704, to two units of 2^-53: `test_source_text` says how far off it is; four at a time, for each waits long for its own last step
__device__ __forceinline__ void exponential(double (&x)[4]) {
    constexpr double shift = 6755399441055744.0;  // 1.5 · 2^52: what is added to it is rounded to a whole number
    constexpr double terms[] = {
        2.7626426376580335e-07, 2.7557255297969643e-06, 2.4801504180837137e-05, 0.0001984126987490126, 0.0013888888932619635,
        0.008333333333326112, 0.04166666666657277, 0.1666666666666667, 0.5000000000000006, 1.0, 1.0};
    double shifted[4], value[4];
#pragma unroll
    for (int one = 0; one < 4; ++one) shifted[one] = fma(x[one], 1.4426950408889634, shift);
#pragma unroll
    for (int one = 0; one < 4; ++one) x[one] = fma(shifted[one] - shift, -0.6931471803691238, x[one]);
#pragma unroll
    for (int one = 0; one < 4; ++one) x[one] = fma(shifted[one] - shift, -1.9082149292705877e-10, x[one]);
#pragma unroll
    for (int one = 0; one < 4; ++one) value[one] = 2.5105259538448494e-08;
#pragma unroll
    for (int term = 0; term < 11; ++term)
#pragma unroll
        for (int one = 0; one < 4; ++one) value[one] = fma(value[one], x[one], terms[term]);
#pragma unroll
    for (int one = 0; one < 4; ++one)
        x[one] = __hiloint2double(__double2hiint(value[one]) + (__double2loint(shifted[one]) << 20), __double2loint(value[one]));
}

// bytes of four words, each place's together
__device__ __forceinline__ void transposed(u32 (&bytes)[4]) {
    u32 a = __byte_perm(bytes[0], bytes[1], 0x5140), b = __byte_perm(bytes[2], bytes[3], 0x5140);
    u32 c = __byte_perm(bytes[0], bytes[1], 0x7362), d = __byte_perm(bytes[2], bytes[3], 0x7362);
    bytes[0] = __byte_perm(a, b, 0x5410);
    bytes[1] = __byte_perm(a, b, 0x7632);
    bytes[2] = __byte_perm(c, d, 0x5410);
    bytes[3] = __byte_perm(c, d, 0x7632);
}

// the products of all digits together
struct Results {
    double logits[64];

    __device__ __forceinline__ void add(int (&sums)[64], int digit) {
        if (digit == 0) {
#pragma unroll
            for (int one = 0; one < 64; ++one) logits[one] = converted(sums[one]);
        } else {
#pragma unroll
            for (int one = 0; one < 64; ++one) logits[one] = fma(logits[one], 256.0, converted(sums[one]));
        }
    }
};

// two numbers in shared memory, read when they are needed and not before: there is no place to hold them
__device__ __forceinline__ double2 read(const double* place) {
    double2 pair;
    asm volatile("ld.shared.v2.f64 {%0, %1}, [%2];" : "=d"(pair.x), "=d"(pair.y) : "r"(shared_address(place)));
    return pair;
}

struct Epilogue {
    const double *half, *log_weights, *unit, *snr, *top;
    char* out;
    double* sums;
    int batch, count;

    struct alignas(16) Numbers {
        double half[128], log_weights[128];
    };
    struct Rows {
        double unit[16], snr[16], top[16];
    };

    __device__ __forceinline__ void fetch(Numbers& numbers, int block, u32 barrier) const {
        copy(numbers.half, half + block * 128, sizeof(numbers.half), barrier);
        copy(numbers.log_weights, log_weights + block * 128, sizeof(numbers.log_weights), barrier);
    }

    __device__ __forceinline__ void fetch(Rows& rows, int first, int lane) const {
        if (lane < 16) {
            int row = min(first + lane, batch - 1);
            copy(rows.unit[lane], unit + row);
            copy(rows.snr[lane], snr + row);
            copy(rows.top[lane], top + row);
        }
    }

    __device__ __forceinline__ void end(const Results& results, const Numbers& numbers, const Rows& rows, int first, int block, int lane) const {
        int blocks = count / 128, quarter = lane % 4;
#pragma unroll
        for (int side = 0; side < 2; ++side) {
            int inside = lane / 4 + 8 * side, row = first + inside, highest = 0x80000000;
            double scale = rows.unit[inside], less = -rows.snr[inside], over = rows.top[inside], total = 0, square = 0, lost = 0;
            u32 planes[2][DIGITS][4];
#pragma unroll
            for (int part = 0; part < 2; ++part) {
                int column = part * 64 + quarter * 16;
#pragma unroll
                for (int four = 0; four < 4; ++four) {
                    u32 low[4], high[4];
                    double norm[4], exact[4];
                    // numbers are not read before they are needed: there is no place to hold them
                    __syncwarp();
#pragma unroll
                    for (int two = 0; two < 4; two += 2) {
                        int place = (part * 8 + four * 2 + two / 2) * 4 + side * 2;
                        double2 norms = read(numbers.half + column + four * 4 + two);
                        double2 weights = read(numbers.log_weights + column + four * 4 + two);
                        norm[two] = norms.x;
                        norm[two + 1] = norms.y;
                        exact[two] = fma(results.logits[place], scale, fma(less, norms.x, weights.x - over));
                        exact[two + 1] = fma(results.logits[place + 1], scale, fma(less, norms.y, weights.y - over));
                    }
#pragma unroll
                    for (int one = 0; one < 4; ++one) {
                        int bits = __double2hiint(exact[one]);
                        highest = max(highest, bits);
                        // far below 0 it is −700
                        exact[one] = __hiloint2double(min(u32(bits), 0xC085E000u), __double2loint(exact[one]));
                    }
                    exponential(exact);
#pragma unroll
                    for (int one = 0; one < 4; ++one) {
                        double whole;
                        long long held;
                        if constexpr (DIGITS <= 6) {
                            // rounded to a whole number behind the 1 of 2^52, with 128 in every digit but the first
                            held = min(__double_as_longlong(fma(exact[one], FULL, TWO_52 + BIAS)), __double_as_longlong(TWO_52 + BIAS + FULL));
                            whole = __longlong_as_double(held) - (TWO_52 + BIAS);
                        } else {
                            whole = fmin(floor(fma(exact[one], FULL, 0.5)), FULL);
                            held = (long long)whole + (long long)BIAS;
                        }
                        total += whole;
                        square = fma(whole, norm[one], square);
                        lost += fabs(fma(exact[one], FULL, -whole));
                        low[one] = u32(held);
                        high[one] = u32(held >> 32);
                    }
                    transposed(low);
                    transposed(high);
#pragma unroll
                    for (int place = 0; place < DIGITS; ++place) {
                        u32 bytes = place < 4 ? low[place] : high[place - 4];
                        planes[part][place][four] = place < DIGITS - 1 ? bytes ^ 0x80808080u : bytes;
                    }
                }
            }
            // two threads with neighbouring rows exchange halves, so that eight write the 128 bytes of a row together
            bool odd = lane & 4;
#pragma unroll
            for (int place = 0; place < DIGITS; ++place) {
                u32 own[4], other[4];
#pragma unroll
                for (int four = 0; four < 4; ++four) {
                    u32 low = planes[0][place][four], high = planes[1][place][four];
                    own[four] = odd ? high : low;
                    other[four] = __shfl_xor_sync(~0u, odd ? low : high, 4);
                }
                long long to = ((long long)(DIGITS - 1 - place) * batch + row - odd) * count + block * 128 + odd * 64 + quarter * 16;
                if (row - odd < batch)
                    *reinterpret_cast<uint4*>(out + to) = odd ? make_uint4(other[0], other[1], other[2], other[3]) : make_uint4(own[0], own[1], own[2], own[3]);
                if (row - odd + 1 < batch)
                    *reinterpret_cast<uint4*>(out + to + count) = odd ? make_uint4(own[0], own[1], own[2], own[3]) : make_uint4(other[0], other[1], other[2], other[3]);
            }
            // beyond 704, where it would overflow, and where it is no number
            if (highest >= 0x40860000) lost = __longlong_as_double(INFINITE_BITS);
            square *= 2;
#pragma unroll
            for (int step = 1; step < 4; step *= 2) {
                total += __shfl_xor_sync(~0u, total, step);
                square += __shfl_xor_sync(~0u, square, step);
                lost += __shfl_xor_sync(~0u, lost, step);
            }
            if (quarter == 0 && row < batch) {
                long long all = (long long)batch * blocks, to = (long long)row * blocks + block;
                sums[SUMS_TOTAL * all + to] = total;
                sums[SUMS_SQUARE * all + to] = square;
                sums[SUMS_LOST * all + to] = lost;
            }
        }
    }
};

#include "stationary.cuh"

extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(THREADS, 1) weigh(
    const __grid_constant__ Map queries, const __grid_constant__ Map atoms, const double* half, const double* log_weights,
    const double* unit, const double* snr, const double* top, char* out, double* sums, int batch, int count, int places) {
    stationary(queries, atoms, Epilogue{half, log_weights, unit, snr, top, out, sums, batch, count}, batch, count, places);
}

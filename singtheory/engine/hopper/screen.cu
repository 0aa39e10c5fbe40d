// `reference.screen` for whole numbers: the largest log weight of each tile of eight atoms, two of which a thread has next to each other.

#include "hopper.cuh"

struct Results {
    int products[64];

    __device__ __forceinline__ void add(int (&sums)[64], int) {
#pragma unroll
        for (int one = 0; one < 64; ++one) products[one] = sums[one];
    }
};

struct Epilogue {
    const float *half, *log_weights, *unit;
    const double *snr, *shift;
    float* out;
    int batch, count;

    struct alignas(16) Numbers {
        float half[128], log_weights[128];
    };
    struct Rows {
        double snr[16], shift[16];
        float unit[16];
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
            copy(rows.shift[lane], shift + row);
        }
    }

    __device__ __forceinline__ void end(const Results& results, const Numbers& numbers, const Rows& rows, int first, int block, int lane) const {
        int low = lane / 4, high = low + 8, quarter = lane % 4;
        float scale[2] = {rows.unit[low], rows.unit[high]}, less[2] = {-float(rows.snr[low]), -float(rows.snr[high])};
        float tiles[2][4], more[2] = {float(rows.shift[low]), float(rows.shift[high])};
#pragma unroll
        for (int part = 0; part < 4; ++part) {
            int column = part / 2 * 64 + quarter * 16 + part % 2 * 8;
            float norm[8], weight[8];
#pragma unroll
            for (int four = 0; four < 8; four += 4) {
                *reinterpret_cast<float4*>(norm + four) = *reinterpret_cast<const float4*>(numbers.half + column + four);
                *reinterpret_cast<float4*>(weight + four) = *reinterpret_cast<const float4*>(numbers.log_weights + column + four);
            }
#pragma unroll
            for (int side = 0; side < 2; ++side) {
                float& largest = tiles[side][part];
#pragma unroll
                for (int atom = 0; atom < 8; ++atom) {
                    int place = (part * 4 + atom / 2) * 4 + side * 2 + atom % 2;
                    float logit = fmaf(float(results.products[place]), scale[side], fmaf(less[side], norm[atom], weight[atom]));
                    largest = atom ? fmaxf(largest, logit) : logit;
                }
                largest += more[side];
            }
        }
#pragma unroll
        for (int side = 0; side < 2; ++side) {
            int row = first + low + 8 * side;
            if (row < batch)
#pragma unroll
                for (int part = 0; part < 4; part += 2) {
                    long long to = (long long)row * (count / 8) + block * 16 + part * 4 + quarter * 2;
                    *reinterpret_cast<float2*>(out + to) = make_float2(tiles[side][part], tiles[side][part + 1]);
                }
        }
    }
};

#include "stationary.cuh"

extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(THREADS, 1) screen(
    const __grid_constant__ Map queries, const __grid_constant__ Map atoms, const float* half, const float* log_weights,
    const float* unit, const double* snr, const double* shift, const int* others, float* out, int batch, int count) {
    // where moments suffice for all queries nothing is screened
    if (*others == 0) return;
    stationary(queries, atoms, Epilogue{half, log_weights, unit, snr, shift, out, batch, count}, batch, count, 1);
}

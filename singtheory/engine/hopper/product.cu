// `reference.product` but for its last step: sums over atoms of digits of weights times numbers of data, 32-bit whole numbers.
// A pair of blocks has 512 rows of digits, 256 each, and COLUMNS coordinates, which reach both in one copy. The atoms are
// cut into parts, of which all blocks work on the same one at a time, so that digits are read from memory once.

#include "hopper.cuh"

constexpr int THREADS = 384, ROWS = 256, LEFT = ROWS * 128, STAGE = LEFT + COLUMNS * 128, CHUNK = 64 * 128, CHUNKS = 4;

extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(THREADS, 1) product(
    const __grid_constant__ Map digits, const __grid_constant__ Map columns, const __grid_constant__ Map sums,
    int tiles, int across, int steps, int parts) {
    extern __shared__ char memory[];
    __shared__ u64 barriers[2 * STAGES];
    u32 stages = aligned(shared_address(memory)), full = shared_address(barriers), empty = full + 8 * STAGES;
    int group = __shfl_sync(~0u, threadIdx.x / 128, 0), warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
    u32 rank = rank_in_cluster();
    if (threadIdx.x == 0)
        for (int stage = 0; stage < STAGES; ++stage) {
            barrier_init(full + 8 * stage, 1);
            barrier_init(empty + 8 * stage, 16);
        }
    barriers_ready();
    Ring ring;
    if (group == 2) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
        if (warp == 0 && lane == 0)
            for (int unit = blockIdx.x / 2; unit < tiles * parts; unit += gridDim.x / 2) {
                int part = unit / tiles, row = (unit % tiles / across * 2 + rank) * ROWS, column = unit % tiles % across * COLUMNS;
                int last = (long long)steps * (part + 1) / parts;
                for (int step = (long long)steps * part / parts; step < last; ++step, ring.step()) {
                    u32 barrier = full + 8 * ring.slot, to = stages + ring.slot * STAGE;
                    wait(empty + 8 * ring.slot, ring.parity ^ 1);
                    expect(barrier, STAGE);
                    copy_2d(to, digits, step * 128, row, barrier);
                    copy_2d_to_both(to + LEFT + rank * COLUMNS * 64, columns, step * 128, column + rank * (COLUMNS / 2), barrier);
                }
            }
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
        u32 staging = stages + STAGES * STAGE + group * CHUNKS * CHUNK;
        for (int unit = blockIdx.x / 2; unit < tiles * parts; unit += gridDim.x / 2) {
            int part = unit / tiles, row = (unit % tiles / across * 2 + rank) * ROWS + group * 128, column = unit % tiles % across * COLUMNS;
            int first = (long long)steps * part / parts, last = (long long)steps * (part + 1) / parts;
            int upper[COLUMNS / 2], lower[COLUMNS / 2];
            u32 before = 0;
            for (int step = first; step < last; ++step) {
                wait(full + 8 * ring.slot, ring.parity);
                u32 place = stages + ring.slot * STAGE;
                u64 left = tile(place + group * (LEFT / 2)), right = tile(place + LEFT);
                products_begin();
#pragma unroll
                for (int inner = 0; inner < 4; ++inner) {
                    int keep = inner > 0 || step > first;
                    multiply(upper, left + 2 * inner, right + 2 * inner, keep);
                    // 64 rows of 128 bytes further
                    multiply(lower, left + 512 + 2 * inner, right + 2 * inner, keep);
                }
                products_commit();
                if (step > first) {
                    products_wait<1>();
                    if (lane == 0) {
                        arrive(empty + 8 * before);
                        arrive_at(empty + 8 * before, rank ^ 1);
                    }
                }
                before = ring.slot;
                ring.step();
            }
            products_wait<0>();
            if (lane == 0) {
                arrive(empty + 8 * before);
                arrive_at(empty + 8 * before, rank ^ 1);
            }
            // 64 rows and 32 columns at a time go to shared memory, and from there are added to the sums
#pragma unroll
            for (int chunk = 0; chunk < COLUMNS / 16; ++chunk) {
                u32 to = staging + chunk % CHUNKS * CHUNK;
                if (threadIdx.x % 128 == 0) asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(CHUNKS - 1) : "memory");
                asm volatile("bar.sync %0, 128;" ::"r"(group + 1) : "memory");
#pragma unroll
                for (int one = 0; one < 8; ++one) {
                    int tall = one % 2 * 8 + warp * 16 + lane / 4, wide = one / 2 * 2 + lane % 4 / 2;
                    int from = (chunk / 2 * 4 + one / 2) * 4 + one % 2 * 2;
                    int x = chunk % 2 ? lower[from] : upper[from], y = chunk % 2 ? lower[from + 1] : upper[from + 1];
                    u32 place = to + tall * 128 + ((wide ^ (tall & 7)) * 16) + lane % 2 * 8;
                    asm volatile("st.shared.v2.b32 [%0], {%1, %2};" ::"r"(place), "r"(x), "r"(y) : "memory");
                }
                asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
                asm volatile("bar.sync %0, 128;" ::"r"(group + 1) : "memory");
                if (threadIdx.x % 128 == 0) {
                    add_2d(sums, column + chunk / 2 * 32, row + chunk % 2 * 64, to);
                    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
                }
            }
        }
        asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
    }
    // the other block may still arrive at barriers of this one
    cluster_sync();
}

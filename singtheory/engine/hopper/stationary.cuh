// Products of many queries with atoms that stay beside the processor while the queries, digit after digit, pass by.
// A pair of blocks shares the queries, which reach both in one copy; each has 128 atoms of its own. In a block one warp a
// group reads queries, another one atoms, and two groups of four warps multiply 64 queries each: what one does after its
// products is beside the products of the other. What follows a product is `Epilogue` of `weigh.cu` or `screen.cu`.
//
// A row n = 64h + 8j + 2q + e of the atoms in shared memory is atom 64h + 16q + 2j + e: a thread, which has the columns
// 8j + 2q + e of the products, so has 16 atoms that lie next to each other, and four threads have 64.

constexpr int THREADS = 384, QUERIES = 64, SLAB = 128 * 128, STAGE = QUERIES * 128, SLABS = (WIDTH + 127) / 128;
constexpr int LAST = WIDTH % 128 ? WIDTH % 128 / 32 : 4;  // steps of 32 coordinates in the last slab

template <int N>
struct Deep {
    static constexpr int value = N;
};



__device__ __forceinline__ void stationary(const Map& queries, const Map& atoms, const Epilogue& epilogue, int batch, int count, int places) {
    extern __shared__ char memory[];
    __shared__ u64 barriers[4 * STAGES + 2 * SLABS + 4];
    __shared__ Epilogue::Numbers numbers[2];
    __shared__ Epilogue::Rows rows[8];
    int blocks = (batch + QUERIES - 1) / QUERIES;
    u32 held = aligned(shared_address(memory)), rings = held + SLABS * SLAB;
    u32 full = shared_address(barriers), empty = full + 16 * STAGES;
    u32 atoms_full = empty + 16 * STAGES, atoms_empty = atoms_full + 8 * SLABS;
    u32 numbers_full = atoms_empty + 8 * SLABS, numbers_empty = numbers_full + 16;
    int group = __shfl_sync(~0u, threadIdx.x / 128, 0), warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
    u32 rank = rank_in_cluster();
    if (threadIdx.x == 0) {
        for (int one = 0; one < 2 * STAGES; ++one) {
            barrier_init(full + 8 * one, 1);
            barrier_init(empty + 8 * one, 8);
        }
        for (int slab = 0; slab < SLABS; ++slab) {
            barrier_init(atoms_full + 8 * slab, 1);
            barrier_init(atoms_empty + 8 * slab, 8);
        }
        for (int one = 0; one < 2; ++one) {
            barrier_init(numbers_full + 8 * one, 1);
            barrier_init(numbers_empty + 8 * one, 8);
        }
    }
    barriers_ready();
    // this pair of blocks answers these of all pairs of atoms and blocks of queries
    long long all = (long long)(count / 256) * blocks;
    int cluster = blockIdx.x / 2, clusters = gridDim.x / 2;
    int begin = all * cluster / clusters, end = all * (cluster + 1) / clusters;
    if (group == 2) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
        if (warp < 2 && lane == 0) {
            Ring ring;
            u32 stages = rings + warp * STAGES * STAGE;
            full += 8 * warp * STAGES;
            empty += 8 * warp * STAGES;
            for (int item = begin + warp; item < end; item += 2) {
                int row = item % blocks * QUERIES + rank * (QUERIES / 2);
                for (int digit = 0; digit < places; ++digit)
                    for (int slab = 0; slab < SLABS; ++slab, ring.step()) {
                        wait(empty + 8 * ring.slot, ring.parity ^ 1);
                        expect(full + 8 * ring.slot, STAGE);
                        u32 to = stages + ring.slot * STAGE + rank * (STAGE / 2);
                        copy_3d_to_both(to, queries, slab * 128, row, digit, full + 8 * ring.slot);
                    }
            }
        } else if (warp == 2 && lane == 0 && begin < end) {
            int round = 0;
            for (int pair = begin / blocks; pair <= (end - 1) / blocks; ++pair, ++round) {
                u32 side = round & 1, barrier = numbers_full + 8 * side;
                wait(numbers_empty + 8 * side, (round / 2 & 1) ^ 1);
                expect(barrier, sizeof(numbers[0]));
                epilogue.fetch(numbers[side], 2 * pair + rank, barrier);
                for (int slab = 0; slab < SLABS; ++slab) {
                    wait(atoms_empty + 8 * slab, side ^ 1);
                    expect(atoms_full + 8 * slab, SLAB);
                    copy_5d(held + slab * SLAB, atoms, slab * 128, (2 * pair + rank) * 2, atoms_full + 8 * slab);
                }
            }
        }
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
        Ring ring;
        u32 stages = rings + group * STAGES * STAGE;
        int round = 0;
        full += 8 * group * STAGES;
        empty += 8 * group * STAGES;
        for (int pair = begin / blocks; begin < end && pair <= (end - 1) / blocks; ++pair, ++round) {
            u32 side = round & 1;
            int low = max(begin, pair * blocks), high = min(end, (pair + 1) * blocks);
            int first = low + ((low - begin + group) & 1);
            // none of them is released before it has come
            wait(numbers_full + 8 * side, round / 2 & 1);
            if (first >= high)
                for (int slab = 0; slab < SLABS; ++slab) {
                    wait(atoms_full + 8 * slab, side);
                    if (lane == 0) arrive(atoms_empty + 8 * slab);
                }
            for (int item = first; item < high; item += 2) {
                Results results;
                int row = item % blocks * QUERIES + warp * 16;
                epilogue.fetch(rows[group * 4 + warp], row, lane);
                for (int digit = 0; digit < places; ++digit) {
                    bool fresh = item == first && digit == 0, over = item + 2 >= high && digit == places - 1;
                    int sums[64];
                    u32 before = 0;
                    auto released = [&](int slab) {
                        if (lane == 0) {
                            arrive(empty + 8 * before);
                            arrive_at(empty + 8 * before, rank ^ 1);
                            if (over) arrive(atoms_empty + 8 * slab);
                        }
                    };
                    auto multiplied = [&](int slab, auto deep) {
                        if (fresh) wait(atoms_full + 8 * slab, side);
                        wait(full + 8 * ring.slot, ring.parity);
                        u64 left = tile(stages + ring.slot * STAGE), right = tile(held + slab * SLAB);
                        products_begin();
#pragma unroll
                        for (int inner = 0; inner < deep.value; ++inner)
                            multiply(sums, left + 2 * inner, right + 2 * inner, slab > 0 || inner > 0);
                        products_commit();
                    };
                    auto stepped = [&](int slab) {
                        products_wait<1>();
                        released(slab);
                        before = ring.slot;
                        ring.step();
                    };
                    multiplied(0, Deep<SLABS == 1 ? LAST : 4>());
                    before = ring.slot;
                    ring.step();
#pragma unroll 1
                    for (int slab = 1; slab < SLABS - 1; ++slab) {
                        multiplied(slab, Deep<4>());
                        stepped(slab - 1);
                    }
                    if constexpr (SLABS > 1) {
                        multiplied(SLABS - 1, Deep<LAST>());
                        stepped(SLABS - 2);
                    }
                    products_wait<0>();
                    released(SLABS - 1);
                    results.add(sums, digit);
                }
                copies_wait();
                epilogue.end(results, numbers[side], rows[group * 4 + warp], row, 2 * pair + rank, lane);
                __syncwarp();
            }
            if (lane == 0) arrive(numbers_empty + 8 * side);
        }
    }
    // the other block may still arrive at barriers of this one
    cluster_sync();
}

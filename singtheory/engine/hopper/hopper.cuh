// Hopper's own instructions: barriers in shared memory, copies of tiles, products of 8-bit whole numbers.
// STAGES and the function `multiply` come from `source_text.py`.

typedef unsigned int u32;
typedef unsigned long long u64;

struct alignas(64) Map {
    u64 opaque[16];
};

__device__ __forceinline__ u32 shared_address(const void* place) {
    return static_cast<u32>(__cvta_generic_to_shared(place));
}

// what tiles need: the swizzle repeats every 1,024 bytes
__device__ __forceinline__ u32 aligned(u32 address) { return (address + 1023) & ~1023u; }

__device__ __forceinline__ u32 rank_in_cluster() {
    u32 rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

__device__ __forceinline__ void cluster_sync() {
    asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

__device__ __forceinline__ void barrier_init(u32 barrier, u32 arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// to the other block of the cluster too
__device__ __forceinline__ void barriers_ready() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    cluster_sync();
}

__device__ __forceinline__ void expect(u32 barrier, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

__device__ __forceinline__ void arrive(u32 barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// at the same barrier of a block of the cluster
__device__ __forceinline__ void arrive_at(u32 barrier, u32 block) {
    asm volatile(
        "{\n.reg .b32 remote;\nmapa.shared::cluster.u32 remote, %0, %1;\n"
        "mbarrier.arrive.shared::cluster.b64 _, [remote];\n}" ::"r"(barrier),
        "r"(block)
        : "memory");
}

__device__ __forceinline__ void wait(u32 barrier, u32 parity) {
    asm volatile(
        "{\n.reg .pred done;\nagain:\nmbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@done bra over;\nbra again;\nover:\n}" ::"r"(barrier),
        "r"(parity)
        : "memory");
}

__device__ __forceinline__ void copy_2d(u32 to, const Map& map, int inner, int row, u32 barrier) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(to),
        "l"(&map), "r"(barrier), "r"(inner), "r"(row)
        : "memory");
}

// to both blocks of the cluster
__device__ __forceinline__ void copy_2d_to_both(u32 to, const Map& map, int inner, int row, u32 barrier) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
        "[%0], [%1, {%3, %4}], [%2], %5;" ::"r"(to),
        "l"(&map), "r"(barrier), "r"(inner), "r"(row), "h"((unsigned short)3)
        : "memory");
}

__device__ __forceinline__ void copy_3d_to_both(u32 to, const Map& map, int inner, int row, int plane, u32 barrier) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
        "[%0], [%1, {%3, %4, %5}], [%2], %6;" ::"r"(to),
        "l"(&map), "r"(barrier), "r"(inner), "r"(row), "r"(plane), "h"((unsigned short)3)
        : "memory");
}

__device__ __forceinline__ void copy_5d(u32 to, const Map& map, int inner, int last, u32 barrier) {
    asm volatile(
        "cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%3, %4, %4, %4, %5}], [%2];" ::"r"(to),
        "l"(&map), "r"(barrier), "r"(inner), "r"(0), "r"(last)
        : "memory");
}

// one after another
__device__ __forceinline__ void copy(void* to, const void* from, u32 bytes, u32 barrier) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(shared_address(to)),
        "l"(from), "r"(bytes), "r"(barrier)
        : "memory");
}

// one number, which a thread need not hold meanwhile
template <typename NUMBER>
__device__ __forceinline__ void copy(NUMBER& to, const NUMBER* from) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(shared_address(&to)), "l"(from), "n"(sizeof(NUMBER)) : "memory");
}

// for numbers that threads of this warp copied
__device__ __forceinline__ void copies_wait() {
    asm volatile("cp.async.wait_all;" ::: "memory");
    __syncwarp();
}

__device__ __forceinline__ void add_2d(const Map& map, int inner, int row, u32 from) {
    asm volatile(
        "cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(&map),
        "r"(from), "r"(inner), "r"(row)
        : "memory");
}

// rows of 128 bytes, swizzled
__device__ __forceinline__ u64 tile(u32 address) {
    return ((address & 0x3FFFF) >> 4) | (u64(1) << 16) | (u64(64) << 32) | (u64(1) << 62);
}

__device__ __forceinline__ void products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

__device__ __forceinline__ void products_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

template <int LEFT>
__device__ __forceinline__ void products_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LEFT) : "memory");
}

// where in a ring of stages: the next one, and how often it went round
struct Ring {
    u32 slot = 0, parity = 0;
    __device__ __forceinline__ void step() {
        if (++slot == STAGES) {
            slot = 0;
            parity ^= 1;
        }
    }
};

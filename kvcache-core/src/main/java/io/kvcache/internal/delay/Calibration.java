package io.kvcache.internal.delay;

import io.kvcache.ChunkKey;
import io.kvcache.DType;
import io.kvcache.KvHalf;
import io.kvcache.KvLayout;
import io.kvcache.KvShape;
import io.kvcache.LayerSpec;
import io.kvcache.internal.delay.DelaySeeds.TierSeed;
import io.kvcache.spi.Compressor;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.DelayLine;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierTrait;
import io.kvcache.spi.TierView;
import io.kvcache.spi.TierWrite;
import io.kvcache.spi.VariantClass;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.LongSupplier;
import java.util.random.RandomGenerator;

/**
 * The first lines of a {@link DelayModel}: a moment of storing, reading and coding when a cache is opened. Whatever
 * fails, or takes longer than its budget, leaves a guess and nothing else: scratch entries are removed in any case, and
 * have empty notes, by which a recovery after a crash knows them as garbage.
 *
 * <p>The budget says when nothing new is begun; one call under way may exceed it. The best of a few measurements
 * counts: what slows a moment of opening down is rarely the medium.
 */
public final class Calibration {
  /** Time for each tier, and for each codec, unless chosen otherwise. */
  public static final long DEFAULT_BUDGET_NANOS = 50_000_000L;

  private static final int SMALL_PART_BYTES = 64 * 1024;
  private static final int LARGE_PART_BYTES = 1024 * 1024;
  private static final int MOST_PARTS = 8;
  private static final int REPEATS = 3;
  private static final long MOST_HALF_BYTES = 4L << 20;
  private static final double NANOS = 1e9;
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final LongSupplier nanoTime;
  private final RandomGenerator random;
  private final long budgetNanos;

  /**
   * A calibration on this clock.
   *
   * @param budgetNanos for each tier, and for each codec
   * @param random gives scratch entries their keys and content
   */
  public Calibration(LongSupplier nanoTime, RandomGenerator random, long budgetNanos) {
    if (budgetNanos < 0) {
      throw new IllegalArgumentException("budgetNanos is " + budgetNanos + ", must be at least 0");
    }
    this.nanoTime = nanoTime;
    this.random = random;
    this.budgetNanos = budgetNanos;
  }

  /** Measures everything; never throws because of a tier or a codec. */
  public DelaySeeds run(List<? extends Tier> tiers, Collection<? extends Compressor> codecs,
      KvLayout layout) {
    List<TierSeed> seeds = new ArrayList<>();
    for (Tier tier : tiers) {
      seeds.add(measure(tier, layout));
    }
    Map<Integer, CodecCost> costs = new HashMap<>();
    for (Compressor codec : codecs) {
      measure(codec, layout).ifPresent(cost -> costs.put(codec.codec(), cost));
    }
    return new DelaySeeds(seeds, costs, DelaySeeds.RECOMPUTE_GUESS);
  }

  private TierSeed measure(Tier tier, KvLayout layout) {
    int parts = Math.clamp(layout.chunkBytes() / LARGE_PART_BYTES, 1, MOST_PARTS);
    try (Arena arena = Arena.ofConfined()) {
      return new Trial(tier, arena).run(parts);
    } catch (IOException | RuntimeException e) {
      return TierSeed.guess(tier.name(), tier.traits().contains(TierTrait.ADDRESSABLE));
    }
  }

  /** Shortest times for the two sizes, a line through both. */
  private static final class Times {
    private double small = Double.POSITIVE_INFINITY;
    private double large = Double.POSITIVE_INFINITY;

    void add(int partBytes, double nanosPerPart) {
      double seconds = nanosPerPart / NANOS;
      if (partBytes == SMALL_PART_BYTES) {
        small = Math.min(small, seconds);
      } else {
        large = Math.min(large, seconds);
      }
    }

    /**
     * With one size alone, a medium is taken to be as quick by the byte as the guess, and the rest for fixed. What
     * seems quicker than it is gets used and measured; what seems slower is left alone, and never put right.
     */
    DelayLine line(DelayLine guess) {
      if (Double.isInfinite(large)) {
        double slope = Math.min(small / SMALL_PART_BYTES, guess.secondsPerUnit());
        return new DelayLine(slope, small - slope * SMALL_PART_BYTES);
      }
      double slope = Math.max(0, (large - small) / (LARGE_PART_BYTES - SMALL_PART_BYTES));
      double fixed = small - slope * SMALL_PART_BYTES;
      return slope == 0 || fixed < 0
          ? new DelayLine(large / LARGE_PART_BYTES, 0) : new DelayLine(slope, fixed);
    }
  }

  /** One tier being measured. */
  private final class Trial {
    private final Tier tier;
    private final boolean addressable;
    private final long end = nanoTime.getAsLong() + budgetNanos;
    private final MemorySegment content;
    private final MemorySegment target;
    private final Times loads = new Times();
    private final Times stores = new Times();

    Trial(Tier tier, Arena arena) {
      this.tier = tier;
      addressable = tier.traits().contains(TierTrait.ADDRESSABLE);
      content = noise(arena.allocate(LARGE_PART_BYTES, Tier.ALIGNMENT));
      target = arena.allocate(LARGE_PART_BYTES, Tier.ALIGNMENT).fill((byte) 1);
    }

    TierSeed run(int largeParts) throws IOException {
      if (!entry(SMALL_PART_BYTES, 1)) {
        return TierSeed.guess(tier.name(), addressable);
      }
      double growth = (double) largeParts * LARGE_PART_BYTES / SMALL_PART_BYTES;
      if ((loads.small + stores.small) * NANOS * growth < left()) {
        entry(LARGE_PART_BYTES, largeParts);
      }
      TierSeed guess = TierSeed.guess(tier.name(), addressable);
      DelayLine load = loads.line(guess.load());
      DelayLine store = stores.line(guess.store());
      boolean timePassed = load.seconds(LARGE_PART_BYTES) > 0 && store.seconds(LARGE_PART_BYTES) > 0;
      return timePassed ? new TierSeed(tier.name(), load, store, true) : guess;
    }

    private long left() {
      return end - nanoTime.getAsLong();
    }

    /** Stores, reads and removes an entry; false when there is no room or no time for it. */
    private boolean entry(int partBytes, int parts) throws IOException {
      EntryId id = new EntryId(
          new ChunkKey(random.nextLong(), random.nextLong(), random.nextLong(), random.nextLong()),
          VariantClass.FULL);
      try {
        long start = nanoTime.getAsLong();
        if (left() <= 0 || (long) parts * partBytes > tier.maxEntryBytes() || !store(id, partBytes, parts)) {
          return false;
        }
        stores.add(partBytes, (double) (nanoTime.getAsLong() - start) / parts);
        boolean loaded = false;
        for (int repeat = 0; repeat < REPEATS; repeat++) {
          for (int part = 0; part < parts && left() > 0; part++) {
            start = nanoTime.getAsLong();
            load(id, part, partBytes);
            loads.add(partBytes, nanoTime.getAsLong() - start);
            loaded = true;
          }
        }
        return loaded;
      } finally {
        remove(id);
      }
    }

    private boolean store(EntryId id, int partBytes, int parts) throws IOException {
      long[] lengths = new long[parts];
      Arrays.fill(lengths, partBytes);
      Optional<TierWrite> claimed = tier.create(id, new byte[0], lengths);
      if (claimed.isEmpty()) {
        return false;
      }
      try (TierWrite write = claimed.get()) {
        for (int part = 0; part < parts; part++) {
          MemorySegment.copy(content, 0, write.part(part), 0, partBytes);
        }
        write.commit(lengths);
      }
      return true;
    }

    private void load(EntryId id, int part, int partBytes) throws IOException {
      if (addressable) {
        try (TierView view = tier.view(id).orElseThrow(() -> new IOException("no view of what was stored"))) {
          MemorySegment.copy(view.part(part), 0, target, 0, partBytes);
        }
        return;
      }
      Deadline deadline = Deadline.after(Math.max(0, left()), nanoTime);
      ReadResult result = tier.read(id, part, target.asSlice(0, partBytes), deadline);
      if (!(result instanceof ReadResult.Present(long bytes)) || bytes != partBytes) {
        throw new IOException("read of what was stored gave " + result);
      }
    }

    /** Tries again when the tier fails; what even then is left, the next recovery removes. */
    private void remove(EntryId id) {
      for (int attempt = 0; attempt < REPEATS; attempt++) {
        try {
          tier.remove(List.of(id));
          return;
        } catch (IOException | RuntimeException e) {
          // The entry is of no use to anybody: there is nothing to tell.
        }
      }
    }
  }

  /** The cost of a codec over one layer; empty where it fails or there is no time. */
  private Optional<CodecCost> measure(Compressor codec, KvLayout layout) {
    long end = nanoTime.getAsLong() + budgetNanos;
    LayerSpec layer = layout.layer(0);
    double encode = 0;
    double decode = 0;
    long bytes = 0;
    long stored = 0;
    try (Arena arena = Arena.ofConfined()) {
      for (KvHalf half : KvHalf.values()) {
        KvShape shape = shape(layer, half, layout.chunkTokens());
        if (shape.bytes() == 0 || !codec.supports(shape)) {
          continue;
        }
        MemorySegment source = values(shape.dtype(), arena.allocate(shape.bytes(), 64));
        MemorySegment target = arena.allocate(codec.maxStoredBytes(shape), 64);
        MemorySegment decoded = arena.allocate(shape.bytes(), 64);
        long bestEncode = Long.MAX_VALUE;
        long bestDecode = Long.MAX_VALUE;
        long length = 0;
        for (int repeat = 0; repeat < REPEATS && end - nanoTime.getAsLong() > 0; repeat++) {
          long start = nanoTime.getAsLong();
          length = codec.compress(shape, source, target);
          long encoded = nanoTime.getAsLong();
          codec.decompress(shape, codec.parameters(), target.asSlice(0, length), decoded);
          bestEncode = Math.min(bestEncode, encoded - start);
          bestDecode = Math.min(bestDecode, nanoTime.getAsLong() - encoded);
        }
        if (length > 0) {
          encode += bestEncode / NANOS;
          decode += bestDecode / NANOS;
          bytes += shape.bytes();
          stored += length;
        }
      }
    } catch (MalformedDataException | RuntimeException e) {
      return Optional.empty();
    }
    return bytes == 0 ? Optional.empty()
        : Optional.of(new CodecCost(encode / bytes, decode / bytes, (double) stored / bytes));
  }

  /** A half of the layout's chunks, or of fewer tokens where that would take too much memory. */
  private static KvShape shape(LayerSpec layer, KvHalf half, int chunkTokens) {
    int tokens = chunkTokens;
    while (layer.shape(half, tokens).bytes() > MOST_HALF_BYTES && tokens > KvLayout.MIN_CHUNK_TOKENS) {
      tokens /= 2;
    }
    return layer.shape(half, tokens);
  }

  private MemorySegment noise(MemorySegment target) {
    for (long at = 0; at + Long.BYTES <= target.byteSize(); at += Long.BYTES) {
      target.set(ValueLayout.JAVA_LONG_UNALIGNED, at, random.nextLong());
    }
    return target;
  }

  /** What KV looks like to a codec: normally distributed numbers, where elements are numbers that Java knows. */
  private MemorySegment values(DType dtype, MemorySegment target) {
    if (dtype == DType.FP8 || dtype == DType.OPAQUE) {
      return noise(target);
    }
    for (long at = 0; at + dtype.bytes() <= target.byteSize(); at += dtype.bytes()) {
      float value = (float) random.nextGaussian();
      int bits = Float.floatToRawIntBits(value);
      switch (dtype) {
        case F32 -> target.set(ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN), at, bits);
        case F16 -> target.set(SHORT, at, Float.floatToFloat16(value));
        default -> target.set(SHORT, at, (short) (bits >>> 16));
      }
    }
    return target;
  }
}

package io.kvcache.simulation;

import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.KvShape;
import io.kvcache.NamespaceLimits;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.Tier;
import io.kvcache.testkit.ForwardingCompressor;
import io.kvcache.testkit.ForwardingTier;
import io.kvcache.testkit.TrailingZerosCompressor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.Collection;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;

/** Positive controls: the simulation notices each kind of broken promise. */
class SimulationControlTest {
  private static final int SEEDS = 20;
  private static final int OPERATIONS = 600;

  @Test
  void noticesWrongBytes() {
    assertNoticed(setup -> setup.withCompressor(new WrongDecoder()), "wrong byte");
  }

  @Test
  void noticesRemovalsThatDoNotLast() {
    assertNoticed(setup -> setup.withMutation(KeepsEverything::new), "was removed");
  }

  @Test
  void noticesFlushesThatDoNothing() {
    assertNoticed(setup -> setup.withMutation(NeverFlushes::new), "promised were");
  }

  @Test
  void noticesKeptRowsThatAreSwapped() {
    assertNoticed(Setup::ofAnyPolicy, setup -> setup.replacing(new SwapsKeptRows()), "wrong byte");
  }

  @Test
  void noticesWhatIsServedAfterItsTime() {
    assertNoticed(setup -> setup.telling(limits -> new NamespaceLimits(Duration.ZERO, limits.quotaBytes())),
        "which has expired");
  }

  @Test
  void noticesNamespacesThatTakeTooMuch() {
    assertNoticed(setup -> setup.telling(limits -> limits.quotaBytes(Long.MAX_VALUE)), "over its quota");
  }

  private static void assertNoticed(UnaryOperator<Setup> breakIt, String complaint) {
    assertNoticed(Setup::of, breakIt, complaint);
  }

  private static void assertNoticed(Function<SplittableRandom, Setup> draw, UnaryOperator<Setup> breakIt,
      String complaint) {
    StringBuilder heard = new StringBuilder();
    for (long seed = 1; seed <= SEEDS && !heard.toString().contains(complaint); seed++) {
      try {
        new Simulation(breakIt.apply(draw.apply(new SplittableRandom(seed))), seed).run(OPERATIONS);
      } catch (AssertionError noticed) {
        heard.append(noticed.getMessage()).append('\n');
      }
    }
    assertTrue(heard.toString().contains(complaint), "no run complained of '" + complaint + "': " + heard);
  }

  private static final class KeepsEverything extends ForwardingTier {
    KeepsEverything(Tier inner) {
      super(inner);
    }

    @Override
    public int remove(Collection<EntryId> ids) {
      return ids.size();
    }
  }

  private static final class NeverFlushes extends ForwardingTier {
    NeverFlushes(Tier inner) {
      super(inner);
    }

    @Override
    public void flush() {
      // What is lost with the power is what this test is about.
    }
  }

  /** Mixes up the first two rows where a chunk has fewer than all. */
  private static final class SwapsKeptRows extends TrailingZerosCompressor {
    @Override
    public long compress(KvShape shape, MemorySegment source, MemorySegment target) {
      long rowBytes = shape.bytes() / shape.tokens();
      MemorySegment rows = source;
      if (shape.tokens() > 1 && shape.tokens() < 16) {
        byte[] swapped = source.toArray(ValueLayout.JAVA_BYTE);
        rows = MemorySegment.ofArray(swapped);
        MemorySegment.copy(source, 0, rows, rowBytes, rowBytes);
        MemorySegment.copy(source, rowBytes, rows, 0, rowBytes);
      }
      return super.compress(shape, rows, target);
    }
  }

  private static final class WrongDecoder extends ForwardingCompressor {
    WrongDecoder() {
      super(new TrailingZerosCompressor());
    }

    @Override
    public void decompress(KvShape shape, int parameters, MemorySegment stored, MemorySegment target)
        throws MalformedDataException {
      super.decompress(shape, parameters, stored, target);
      byte last = target.get(ValueLayout.JAVA_BYTE, target.byteSize() - 1);
      target.set(ValueLayout.JAVA_BYTE, target.byteSize() - 1, (byte) (last ^ 1));
    }
  }
}

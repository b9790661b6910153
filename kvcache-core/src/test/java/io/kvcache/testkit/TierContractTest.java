package io.kvcache.testkit;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.EntryId;
import io.kvcache.spi.Tier;
import io.kvcache.spi.TierTrait;
import io.kvcache.spi.TierUsage;
import io.kvcache.spi.TierView;
import io.kvcache.spi.TierWrite;
import io.kvcache.testkit.FaultyTier.Fault;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Positive controls: the contract notices tiers that are wrong. */
class TierContractTest {
  private static final int SEEDS = 8;

  /** Ways to be wrong, each of which some test must notice. */
  enum Defect {
    COUNTS_REMOVED_WRONG {
      @Override
      Tier tier(MemoryTier right, long capacityBytes) {
        return new ForwardingTier(right) {
          @Override
          public int remove(Collection<EntryId> ids) throws IOException {
            super.remove(ids);
            return ids.size();
          }
        };
      }
    },
    FORGETS_NOTES {
      @Override
      Tier tier(MemoryTier right, long capacityBytes) {
        return new ForwardingTier(right) {
          @Override
          public void annotate(Map<EntryId, byte[]> notes) {
            right.annotate(Map.of());
          }
        };
      }
    },
    REUSES_WHAT_VIEWS_SHOW {
      @Override
      Tier tier(MemoryTier right, long capacityBytes) {
        return new ForwardingTier(right) {
          @Override
          public Optional<TierView> view(EntryId id) {
            return super.view(id).map(Unheld::of);
          }
        };
      }
    },
    EXCEEDS_ITS_CAPACITY {
      @Override
      Tier tier(MemoryTier right, long capacityBytes) {
        return new ForwardingTier(new MemoryTier("large", 2 * capacityBytes, right.traits())) {
          @Override
          public TierUsage usage() {
            TierUsage usage = super.usage();
            return new TierUsage(capacityBytes, usage.usedBytes(), usage.entries());
          }
        };
      }
    },
    KEEPS_WHAT_WAS_CLAIMED {
      @Override
      Tier tier(MemoryTier right, long capacityBytes) {
        return new ForwardingTier(right) {
          @Override
          public Optional<TierWrite> create(EntryId id, byte[] note, long[] partBytes)
              throws IOException {
            return super.create(id, note, partBytes).map(write -> new Unshrinking(write, partBytes.clone()));
          }
        };
      }
    },
    FLUSHES_NOTHING {
      @Override
      Tier tier(MemoryTier right, long capacityBytes) {
        return new ForwardingTier(right) {
          @Override
          public void flush() {}
        };
      }
    },
    FLIPS_BITS {
      @Override
      Tier tier(MemoryTier right, long capacityBytes) {
        return new FaultyTier(right, 1).set(Fault.READ_FLIPS, 0.1);
      }
    },
    MISDIRECTS_READS {
      @Override
      Tier tier(MemoryTier right, long capacityBytes) {
        return new FaultyTier(right, 1).set(Fault.READ_MISDIRECTS, 0.1);
      }
    },
    TRUNCATES_READS {
      @Override
      Tier tier(MemoryTier right, long capacityBytes) {
        return new FaultyTier(right, 1).set(Fault.READ_TRUNCATES, 0.1);
      }
    },
    HAS_NO_ROOM {
      @Override
      Tier tier(MemoryTier right, long capacityBytes) {
        return new FaultyTier(right, 1).set(Fault.NO_ROOM, 0.3);
      }
    };

    abstract Tier tier(MemoryTier right, long capacityBytes);
  }

  private static final class Control extends TierContract {
    private final Defect defect;
    private MemoryTier right;

    Control(Defect defect) {
      this.defect = defect;
    }

    @Override
    protected Tier newTier(long capacityBytes) {
      right = new MemoryTier("right", capacityBytes, Set.of(TierTrait.ADDRESSABLE, TierTrait.DURABLE));
      return defect == null ? right : defect.tier(right, capacityBytes);
    }

    @Override
    protected Tier reopen(Tier closed, long capacityBytes) {
      right = right.reopen();
      return right;
    }

    @Override
    protected Tier crash(Tier open, long capacityBytes) {
      right = right.crash();
      return right;
    }

    /** Whether any of the tests for one thread fails. */
    boolean fails() {
      boolean failed = false;
      for (long seed = 1; seed <= SEEDS; seed++) {
        long each = seed;
        failed |= fails(() -> new TierScript(this, each, Arena.ofAuto()).run(300));
      }
      return failed | fails(this::saysWhenFullAndRecovers) | fails(this::viewsOutliveTheirEntry)
          | fails(this::commitReturnsWhatItDoesNotUse) | fails(this::durableTierComesBack);
    }

    private static boolean fails(Executable test) {
      try {
        test.execute();
        return false;
      } catch (Throwable wrong) {
        return true;
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void noticesDefect(Defect defect) {
    assertTrue(new Control(defect).fails(), "nobody noticed " + defect);
  }

  @Test
  void findsNothingWrongWithRightTier() {
    assertFalse(new Control(null).fails());
  }

  @Test
  void noticesEntryThatCameBack() {
    TierContract resurrecting = new TierContract() {
      @Override
      protected Tier newTier(long capacityBytes) {
        return new MemoryTier("right", capacityBytes, Set.of(TierTrait.DURABLE));
      }

      @Override
      protected Tier crash(Tier open, long capacityBytes) throws Exception {
        Tier crashed = ((MemoryTier) open).crash();
        crashed.create(Payloads.entry(0), new byte[0], new long[] {1}).orElseThrow().commit(new long[] {1});
        return crashed;
      }
    };
    AssertionError failure = assertThrows(AssertionError.class, resurrecting::crashMayLoseButNeverResurrects);
    assertTrue(failure.getMessage().contains("came back"), failure.getMessage());
  }

  /** Goal: the register check notices foreign bytes, stale versions and entries that are gone or back. */
  @Test
  void stressNoticesWrongAnswers() {
    for (Fault fault : new Fault[] {Fault.READ_FLIPS, Fault.READ_MISDIRECTS}) {
      MemoryTier right = new MemoryTier("right", 4 << 20, Set.of(TierTrait.ADDRESSABLE));
      FaultyTier wrong = new FaultyTier(right, 1).set(fault, 1);
      assertThrows(Exception.class, () -> new TierStress(wrong, 1).run(500), fault.name());
    }
  }

  /** A view that gave its reference back while it still shows the memory. */
  private record Unheld(MemorySegment[] shown) implements TierView {
    static TierView of(TierView view) {
      MemorySegment[] shown = new MemorySegment[view.parts()];
      for (int i = 0; i < shown.length; i++) {
        shown[i] = view.part(i);
      }
      view.close();
      return new Unheld(shown);
    }

    @Override
    public int parts() {
      return shown.length;
    }

    @Override
    public MemorySegment part(int index) {
      return shown[index];
    }

    @Override
    public void close() {}
  }

  private static final class Unshrinking extends ForwardingWrite {
    private final long[] claimed;

    Unshrinking(TierWrite write, long[] claimed) {
      super(write);
      this.claimed = claimed;
    }

    @Override
    public void commit(long[] partBytes) throws IOException {
      super.commit(claimed);
    }
  }
}

package io.kvcache.internal.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.kvcache.CacheEvent;
import io.kvcache.testkit.ManualExecutor;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.RejectedExecutionException;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Events arrive in order, and never pile up. */
class EventsTest {
  private final List<CacheEvent> told = new ArrayList<>();
  private final ManualExecutor executor = new ManualExecutor();

  private static CacheEvent event(int number) {
    return new CacheEvent.LookedUp(number, number);
  }

  @Test
  void listenerThatFallsBehindIsNotToldOfWhatIsTooMuch() {
    Events events = new Events(told::add, executor);
    int many = Events.MOST_WAITING;
    IntStream.range(0, many + 3).forEach(number -> events.accept(event(number)));
    assertEquals(3, events.dropped());
    executor.runAll();
    assertEquals(IntStream.range(0, many).mapToObj(EventsTest::event).toList(), told);
    events.accept(event(many));
    executor.runAll();
    assertEquals(event(many), told.getLast());
    assertEquals(3, events.dropped());
  }

  @Test
  void threadIsWokenOnceForManyEventsAndNeverForNobody() {
    List<Runnable> woken = new ArrayList<>();
    Events events = new Events(told::add, woken::add);
    IntStream.range(0, 10).forEach(number -> events.accept(event(number)));
    assertEquals(1, woken.size());
    woken.removeFirst().run();
    assertEquals(10, told.size());
    events.accept(event(10));
    assertEquals(1, woken.size());
    Events unheard = new Events(null, task -> {
      throw new AssertionError("woken for nobody");
    });
    unheard.accept(event(1));
    assertEquals(0, unheard.dropped());
  }

  @Test
  void eventThatTheListenerCausesComesAfterThose() {
    List<Events> self = new ArrayList<>();
    Events events = new Events(event -> {
      if (told.isEmpty()) {
        self.getFirst().accept(event(2));
      }
      told.add(event);
    }, Runnable::run);
    self.add(events);
    events.accept(event(1));
    assertEquals(List.of(event(1), event(2)), told);
  }

  @Test
  void closedExecutorAndFailingListenerAreNobodysProblem() {
    Events closed = new Events(told::add, task -> {
      throw new RejectedExecutionException();
    });
    closed.accept(event(1));
    Events failing = new Events(event -> {
      told.add(event);
      throw new QuietException();
    }, Runnable::run);
    failing.accept(event(1));
    failing.accept(event(2));
    assertEquals(List.of(event(1), event(2)), told);
  }

  /** Logged in one line. */
  private static final class QuietException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    QuietException() {
      super("thrown by the listener of a test, as it should be", null, false, false);
    }
  }
}

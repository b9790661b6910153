package io.kvcache.testkit;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Executor;

/**
 * An executor that runs nothing until told to, on the thread that tells it: in order, or in an order drawn
 * from a seed. Threads: any may add tasks; a task runs outside the lock, so that it may add others.
 */
public final class ManualExecutor implements Executor {
  private final List<Runnable> tasks = new ArrayList<>();

  @Override
  public synchronized void execute(Runnable task) {
    tasks.add(task);
  }

  /** Tasks that wait. */
  public synchronized int waiting() {
    return tasks.size();
  }

  /** Runs the task that waits longest; false when there is none. */
  public boolean runNext() {
    return run(takeAt(0));
  }

  /** Runs one of the waiting tasks, which one {@code random} says; false when there is none. */
  public boolean runAny(SplittableRandom random) {
    return run(takeAny(random));
  }

  /** Runs tasks in order, those they add included, until none waits; returns how many. */
  public int runAll() {
    int count = 0;
    while (runNext()) {
      count++;
    }
    return count;
  }

  private static boolean run(Runnable task) {
    if (task == null) {
      return false;
    }
    task.run();
    return true;
  }

  private synchronized Runnable takeAny(SplittableRandom random) {
    return tasks.isEmpty() ? null : tasks.remove(random.nextInt(tasks.size()));
  }

  private synchronized Runnable takeAt(int index) {
    return index < tasks.size() ? tasks.remove(index) : null;
  }
}

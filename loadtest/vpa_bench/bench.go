package main

import (
	"math"
	"math/rand"
	"runtime"
	"time"

	"k8s.io/autoscaler/vertical-pod-autoscaler/pkg/recommender/logic"
	"k8s.io/autoscaler/vertical-pod-autoscaler/pkg/recommender/model"
)

// bench fills o.containers states with two days of hourly samples, then times whole loops on one thread:
// one sample of each resource per container, then for every container what UpdateVPAs computes
// (merge into a fresh state, recommend). Prints seconds per loop and bytes of heap per container.
func bench(o options) error {
	runtime.GOMAXPROCS(1)
	random := rand.New(rand.NewSource(1))
	before := heap()
	states := make([]aggregate, o.containers)
	cpu, memory := make([]float64, o.containers), make([]float64, o.containers)
	for i := range states {
		states[i] = newAggregate()
		cpu[i] = math.Exp(random.NormFloat64()*1.2 + math.Log(100))
		memory[i] = math.Exp(random.NormFloat64()*1.2 + math.Log(3e8))
	}
	at := time.Unix(1767243600, 0).UTC()
	minute := func() {
		for i := range states {
			states[i].add(row{at, sample(random, cpu[i], 0.4), sample(random, memory[i], 0.1), -1})
		}
	}
	for hour := 0; hour < 48; hour++ {
		at = at.Add(time.Hour)
		minute()
	}
	size := float64(heap()-before) / float64(o.containers)
	recommender := logic.CreatePodResourceRecommender(o.config)
	loops := make([]float64, o.minutes)
	for n := range loops {
		at = at.Add(time.Minute)
		started := time.Now()
		minute()
		recommendAll(recommender, states)
		loops[n] = time.Since(started).Seconds()
	}
	started := time.Now()
	for i := range states {
		if _, err := states[i].state.SaveToCheckpoint(); err != nil {
			return err
		}
	}
	return print(map[string]any{"containers": o.containers, "loop_seconds": loops, "bytes_per_container": size,
		"checkpoint_encode_seconds": time.Since(started).Seconds()})
}

func sample(random *rand.Rand, median, spread float64) int64 {
	return int64(median * math.Exp(random.NormFloat64()*spread))
}

func recommendAll(recommender logic.PodResourceRecommender, states []aggregate) {
	for i := range states {
		fresh := model.NewAggregateContainerState()
		fresh.MergeContainerState(states[i].state)
		recommender.GetRecommendedPodResources(model.ContainerNameToAggregateStateMap{"c": fresh})
	}
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

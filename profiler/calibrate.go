package profiler

import "time"

// Samples get lost, between 1 % of them on a quiet machine and 15 % beside busy
// neighbours: the kernel looks at a thread's CPU timer only at its tick (every 4
// ms at HZ=250), and a thread that is moved on and off its CPU between ticks may
// use more than one period before it is seen, for which there is one sample. So
// a window's samples are put in relation to the CPU time that the threads they
// come from have used.

// calibrationWeight is how much CPU time without any loss each window is taken
// to have had besides. It keeps a window of few samples, which tell little about
// how many were lost, close to 1: the timers of a dozen threads, each of which may
// just have fired or be about to, are off by some 15 ms together.
const calibrationWeight = 100 * time.Millisecond

// Calibrations beyond these bounds are no loss of samples but something that is
// not understood.
const minScale, maxScale = 0.8, 2.0

// calibrate returns by how much more CPU time samples stand for than their
// period. Sampled is what the threads have used by the kernel's clock; 0 when
// that is not known.
func calibrate(samples int64, period, sampled time.Duration) float64 {
	if sampled <= 0 || samples <= 0 {
		return 1
	}
	scale := float64(sampled+calibrationWeight) / float64(time.Duration(samples)*period+calibrationWeight)
	return min(max(scale, minScale), maxScale)
}

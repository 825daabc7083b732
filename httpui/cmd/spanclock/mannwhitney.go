package main

import (
	"cmp"
	"math"
	"slices"
)

// exactMost is how many values each side may have for an exact test; beyond them the
// normal distribution is as good.
const exactMost = 20

// mannWhitney returns the probability that two samples of one distribution differ in
// their order as much as a and b do, or more (two-sided). It is exact for few values
// without ties; else the normal approximation, corrected for ties and continuity. 1 when
// either is empty.
func mannWhitney(a, b []float64) float64 {
	if len(a) == 0 || len(b) == 0 {
		return 1
	}
	u, ties := statistic(a, b)
	n1, n2 := float64(len(a)), float64(len(b))
	if ties == 0 && len(a) <= exactMost && len(b) <= exactMost {
		return exactP(u, len(a), len(b))
	}
	n := n1 + n2
	variance := n1 * n2 / 12 * (n + 1 - ties/(n*(n-1)))
	if variance <= 0 {
		return 1 // all values are the same
	}
	z := max(0, math.Abs(u-n1*n2/2)-0.5) / math.Sqrt(variance)
	return math.Erfc(z / math.Sqrt2)
}

// statistic returns U, how many pairs have the greater value in a (ties count half), and the
// sum of t³-t over groups of t equal values.
func statistic(a, b []float64) (u, ties float64) {
	type value struct {
		v  float64
		of int
	}
	all := make([]value, 0, len(a)+len(b))
	for _, v := range a {
		all = append(all, value{v: v})
	}
	for _, v := range b {
		all = append(all, value{v: v, of: 1})
	}
	slices.SortFunc(all, func(x, y value) int { return cmp.Compare(x.v, y.v) })
	rank := 0.0 // the sum of a's
	for i := 0; i < len(all); {
		k, inA := i, 0
		for ; k < len(all) && all[k].v == all[i].v; k++ {
			inA += 1 - all[k].of
		}
		t := float64(k - i)
		rank += float64(inA) * (float64(i+k+1) / 2)
		ties += t*t*t - t
		i = k
	}
	n := float64(len(a))
	return rank - n*(n+1)/2, ties
}

// exactP counts the orders of n and m values in which U is as far from its mean.
func exactP(u float64, n, m int) float64 {
	counts := countU(n, m)
	mean, total, far := float64(n*m)/2, 0.0, 0.0
	for s, c := range counts {
		total += c
		if math.Abs(float64(s)-mean) >= math.Abs(u-mean)-1e-9 {
			far += c
		}
	}
	return min(1, far/total)
}

// countU returns, for each U, in how many orders of n and m values it is that.
func countU(n, m int) []float64 {
	// Of j and k values the greatest is either of the first side, above all k of the
	// other, or of the other side.
	table := make([][][]float64, n+1)
	for j := range table {
		table[j] = make([][]float64, m+1)
		for k := range table[j] {
			table[j][k] = make([]float64, j*k+1)
			if j == 0 || k == 0 {
				table[j][k][0] = 1
				continue
			}
			for s, c := range table[j-1][k] {
				table[j][k][s+k] += c
			}
			for s, c := range table[j][k-1] {
				table[j][k][s] += c
			}
		}
	}
	return table[n][m]
}

// holm says which of the probabilities are significant together: the chance that
// any of those is there by accident is below alpha.
func holm(ps []float64, alpha float64) []bool {
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, k int) int { return cmp.Compare(ps[i], ps[k]) })
	out := make([]bool, len(ps))
	for k, i := range order {
		if ps[i] >= alpha/float64(len(ps)-k) {
			break
		}
		out[i] = true
	}
	return out
}

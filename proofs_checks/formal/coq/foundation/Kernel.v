(** A3, continued: the exact reverse kernel in x_s and the mixture in u are the same thing, so that divergences depend on the gap alone.

    This ties the divergences of B, which are integrals over the coordinate u, to the densities of A4 in x_s. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian Space Mixture Divergence Formulas A B Posterior.
Local Open Scope R_scope.

(** The expectation under N(m, c^2 I) *)
Definition E_normal (d : nat) (m : vec) (c : R) (f : vec -> R) : R := E d (fun u => f (vplus m (vscal c u))).

(** A component's density over that of the plug-in Gaussian, at [x_s = m + c u], when it is shifted by [c e] *)
Lemma dens_ratio d m e c u : 0 < c -> dens d (vplus m (vscal c e)) (c ^ 2) (vplus m (vscal c u)) = dens d m (c ^ 2) (vplus m (vscal c u)) * ratio d e u.
Proof.
  intros Hc. unfold dens, ratio.
  assert (S1 : sq d (vminus (vplus m (vscal c u)) (vplus m (vscal c e))) = c * c * (sq d u - 2 * dot d u e + sq d e)).
  { rewrite <- sq_minus, <- sq_scal. unfold sq, dot. apply sumn_ext. intros; unfold vminus, vplus, vscal; ring. }
  assert (S2 : sq d (vminus (vplus m (vscal c u)) m) = c * c * sq d u).
  { rewrite <- sq_scal. unfold sq, dot. apply sumn_ext. intros; unfold vminus, vplus, vscal; ring. }
  rewrite S1, S2, (dot_comm d u e).
  replace (- (c * c * (sq d u - 2 * dot d e u + sq d e)) / (2 * c ^ 2)) with (- (c * c * sq d u) / (2 * c ^ 2) + (dot d e u - sq d e / 2)) by (field; lra).
  rewrite exp_plus. unfold Rdiv. ring.
Qed.

Section Step.
Variables (d n : nat) (w : nat -> R) (y : nat -> vec) (a_t s_t a_s s_s : R) (x_t : vec).
Hypothesis Hw : weights n w.
Hypothesis Ha : 0 < a_s.
Hypothesis Hs : 0 < s_s.
Hypothesis Ht : 0 < s_t.
Hypothesis Hn : 0 < noise a_t s_t a_s s_s.
(** The posterior at t, the gap, and the plug-in Gaussian's mean and standard deviation *)
Let p := bayes d n w y a_t s_t x_t.
Let g := snr_of a_s s_s - snr_of a_t s_t.
Let c := sqrt (br_c2 a_t s_t a_s s_s).
Let m := vplus (vscal (br_a a_t s_t a_s s_s) x_t) (vscal (br_b a_t s_t a_s s_s) (mean n p y)).
Notation x_s u := (vplus m (vscal c u)).

Lemma step_c2 : c ^ 2 = br_c2 a_t s_t a_s s_s.
Proof. unfold c. rewrite pow2_sqrt; auto. left. apply c2_pos; auto. Qed.
Lemma step_c : 0 < c.
Proof. apply sqrt_lt_R0, c2_pos; auto. Qed.
Lemma step_root : sqrt g = br_b a_t s_t a_s s_s / c.
Proof.
  unfold g. rewrite <- A3_gap by lra. rewrite sqrt_div_alt by (apply c2_pos; auto). fold c. f_equal.
  apply sqrt_pow2. unfold br_b. apply Rdiv_le_0_compat; [apply Rmult_le_pos; lra|apply pow_lt; auto].
Qed.

Lemma component i u : dens d (vplus (vscal (br_a a_t s_t a_s s_s) x_t) (vscal (br_b a_t s_t a_s s_s) (y i))) (br_c2 a_t s_t a_s s_s) (x_s u)
  = dens d m (br_c2 a_t s_t a_s s_s) (x_s u) * ratio d (shift n p y g i) u.
Proof.
  pose proof step_c as Hc. rewrite <- step_c2, <- dens_ratio by auto. unfold dens. do 4 f_equal. unfold sq, dot. apply sumn_ext. intros k _.
  unfold m, shift, xi, vminus, vplus, vscal. rewrite step_root. set (b := br_b a_t s_t a_s s_s). replace (c * (b / c * (y i k - mean n p y k))) with (b * (y i k - mean n p y k)) by (field; lra).
  ring.
Qed.

(** At [x_s = a x_t + b xhat + c u] the kernel's density is the plug-in Gaussian's times the mixture's ratio at u, in which of the step
    nothing is left but the gap. *)
Theorem A3_ratio u : reverse_kernel d n w y a_t s_t a_s s_s x_t (x_s u) = dens d m (br_c2 a_t s_t a_s s_s) (x_s u) * mix d n p (shift n p y g) u.
Proof.
  unfold reverse_kernel, mix. rewrite <- sumn_scal. apply sumn_ext. intros i _. rewrite component. fold p. ring.
Qed.

(** So every divergence that is the plug-in's expectation of a function of the ratio of the densities depends on the gap alone: KL with
    [F r = r ln r], TV with [|r - 1|/2], chi^2 with [(r - 1)^2]. *)
Theorem A3_divergences (F : R -> R) :
  E_normal d m c (fun x => F (reverse_kernel d n w y a_t s_t a_s s_s x_t x / dens d m (br_c2 a_t s_t a_s s_s) x)) = E d (fun u => F (mix d n p (shift n p y g) u)).
Proof.
  unfold E_normal. apply E_ext. intros u. f_equal. rewrite A3_ratio. field. unfold dens. pose proof step_c2 as H2. pose proof step_c as Hc.
  assert (0 < br_c2 a_t s_t a_s s_s) by (apply c2_pos; auto). pose proof PI_RGT_0.
  apply Rgt_not_eq. apply Rdiv_lt_0_compat; [apply exp_pos|]. apply pow_lt, sqrt_lt_R0. nra.
Qed.

(** W2 is not among them: every coupling costs [c^2] times as much in x_s as in u, so that the least costs differ by that factor. A coupling is
    its expectation [pi], of which only that factors can be drawn out is used. *)
Theorem A3_w2 {I : Type} (pi : I -> (vec -> vec -> R) -> R) (Hpi : forall i k f, pi i (fun u v => k * f u v) = k * pi i f) l :
  (forall i, pi i (fun u v => dist2 d (x_s u) (x_s v)) = c ^ 2 * pi i (dist2 d)) /\
  ((forall i, l <= pi i (dist2 d)) <-> (forall i, c ^ 2 * l <= pi i (fun u v => dist2 d (x_s u) (x_s v)))).
Proof.
  assert (H : forall i, pi i (fun u v => dist2 d (x_s u) (x_s v)) = c ^ 2 * pi i (dist2 d)).
  { intros i. rewrite <- Hpi. f_equal. apply functional_extensionality. intros u. apply functional_extensionality. intros v.
    unfold dist2. replace (c ^ 2) with (c * c) by ring. rewrite <- sq_scal. unfold sq, dot. apply sumn_ext. intros; unfold vminus, vplus, vscal; ring. }
  split; auto. pose proof step_c as Hc. assert (0 < c ^ 2) by (apply pow_lt; auto).
  split; intros L i; specialize (L i); rewrite H in *; nra.
Qed.

(** The posterior at s, given [x_s], is what Bayes' rule makes of the posterior at t and of u: [x_t] adds nothing. *)
Theorem B4_posterior i u : bayes d n w y a_s s_s (x_s u) i = p i * ratio d (shift n p y g i) u / mix d n p (shift n p y g) u.
Proof.
  set (Zt := sumn n (fun j => w j * dens d (vscal a_t (y j)) (s_t ^ 2) x_t)).
  assert (P : forall m' v x, 0 < v -> 0 < dens d m' v x).
  { intros. unfold dens. pose proof PI_RGT_0. apply Rdiv_lt_0_compat; [apply exp_pos|]. apply pow_lt, sqrt_lt_R0. nra. }
  assert (Hc2 : 0 < br_c2 a_t s_t a_s s_s) by (apply c2_pos; auto).
  assert (Hs2 : 0 < s_s ^ 2) by (apply pow_lt; auto). assert (Ht2 : 0 < s_t ^ 2) by (apply pow_lt; auto).
  assert (S : forall v, 0 < v -> forall a x, 0 < sumn n (fun j => w j * dens d (vscal a (y j)) v x)).
  { intros v Hv a x. destruct Hw as [W0 W1]. destruct (sumn_some_pos n w W0) as (k & Hk & Hp); [lra|]. apply sumn_pos.
    - intros j Hj. apply Rmult_le_pos; auto. left; auto.
    - exists k. split; auto. apply Rmult_lt_0_compat; auto. }
  assert (HZ : 0 < Zt) by (apply S; auto).
  set (D0 := dens d m (br_c2 a_t s_t a_s s_s) (x_s u)). assert (HD : 0 < D0) by (apply P; auto).
  set (L := dens d (vscal (factor a_t a_s) (x_s u)) (noise a_t s_t a_s s_s) x_t). assert (HL : 0 < L) by (apply P; auto).
  assert (K : forall j, p j * ratio d (shift n p y g j) u = L / (Zt * D0) * (w j * dens d (vscal a_s (y j)) (s_s ^ 2) (x_s u))).
  { intros j. pose proof (A2_bridge_vector d a_t s_t a_s s_s (y j) (x_s u) x_t Ha Hs Ht Hn) as B. rewrite component in B. fold D0 L in B.
    unfold p at 1. unfold bayes. fold Zt.
    replace (L / (Zt * D0) * (w j * dens d (vscal a_s (y j)) (s_s ^ 2) (x_s u))) with (w j * (dens d (vscal a_s (y j)) (s_s ^ 2) (x_s u) * L) / (Zt * D0)) by (field; lra).
    rewrite B. field. lra. }
  unfold mix. rewrite K, (sumn_ext n _ _ (fun j _ => K j)), sumn_scal. unfold bayes.
  assert (0 < sumn n (fun j => w j * dens d (vscal a_s (y j)) (s_s ^ 2) (x_s u))) by (apply S; auto). field. repeat split; lra.
Qed.
End Step.

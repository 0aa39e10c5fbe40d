(** F11, continued: how far in W2 the end of one step is from the law of x_s, for every finite law in every dimension. *)

From Coq Require Import Reals Lra Lia Psatz FunctionalExtensionality.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Gaussian Space Scale Mixture Divergence Formulas A E F B B_small Posterior D_time Translate F_any.
Local Open Scope R_scope.

Section Couplings.
Variables (d n : nat) (w : nat -> R) (y : nat -> vec) (a_t s_t a_s s_s kept fresh : R).
Hypothesis Hw : weights n w.
Hypothesis Hs : 0 < s_t.
Hypothesis Hv : kept ^ 2 + fresh ^ 2 = s_s ^ 2.
Notation B := (weight a_t s_t a_s kept).
Notation r := (a_t / s_t).
Notation step := (step_end d n w y a_t s_t a_s kept fresh).

(** The law of the step's end and that of [x_s], as expectations *)
Definition end_law (f : vec -> R) : R := J_fresh d n w y a_t s_t (fun _ u z => f (step u z)).
Definition right_law (f : vec -> R) : R := sumn n (fun i => w i * E d (fun v => f (fun j => a_s * y i j + s_s * v j))).

(** A coupling is its expectation [L], of which only this is used: whatever lies above a function of the one plus one of the other costs at least
    their means. *)
Definition couples (L : (vec -> vec -> R) -> R) : Prop := forall f h q, tame d f -> tame d h ->
  (forall u v, f u + h v <= q u v) -> end_law f + right_law h <= L q.

Lemma right_variance k e : (k < d)%nat -> right_law (fun v => e * (v k - a_s * mean n w y k) ^ 2) = e * var_t a_s s_s (lam n w y k).
Proof.
  intros Hk. unfold right_law. rewrite (sumn_ext n _ (fun i => e * a_s ^ 2 * (w i * (y i k - mean n w y k) ^ 2) + e * s_s ^ 2 * w i)).
  - rewrite sumn_plus, !sumn_scal, (proj2 Hw). change (sumn n (fun i => w i * (y i k - mean n w y k) ^ 2)) with (lam n w y k). unfold var_t. ring.
  - intros i _. set (A := a_s * (y i k - mean n w y k)).
    rewrite (E_ext d _ (fun v => e * (A + s_s * v k) ^ 2)) by (intros; unfold A; ring).
    rewrite E_scal; [rewrite (noise_square d k Hk); unfold A; ring|]. apply (tame_pow d (fun v => A + s_s * v k)).
    apply (tame_plus d (fun _ => A)); [apply tame_const|apply tame_scal, tame_coord; auto].
Qed.

(** No coupling brings two spreads nearer than their difference. *)
Theorem F11_lower k L : (k < d)%nat -> couples L ->
  spreads_apart (var_t a_s s_s (lam n w y k)) (lost_var B (unknown d n w y a_t s_t k)) <= L (dist2 d).
Proof.
  intros Hk HL. set (V := var_t a_s s_s (lam n w y k)). set (lost := lost_var B (unknown d n w y a_t s_t k)). set (V1 := V - lost).
  assert (H1 : 0 <= V1) by (apply (variance_nonneg d n w y a_t s_t Hw Hs k Hk a_s kept fresh s_s Hv)).
  assert (Hlost : 0 <= lost) by (apply Rmult_le_pos; [apply pow2_ge_0|apply (unknown_nonneg d n w y a_t s_t Hw k)]).
  assert (C : forall K, 0 < K -> (1 - K) * V1 + (1 - / K) * V <= L (dist2 d)).
  { intros K HK. set (c := a_s * mean n w y k).
    assert (Tq : forall e, tame d (fun u => e * (u k - c) ^ 2)).
    { intros e. apply tame_scal. apply (tame_pow d (fun u => u k - c)). apply (tame_minus d (fun u => u k)); [apply tame_coord; auto|apply tame_const]. }
    specialize (HL (fun u => (1 - K) * (u k - c) ^ 2) (fun v => (1 - / K) * (v k - c) ^ 2) (dist2 d) (Tq _) (Tq _)).
    replace ((1 - K) * V1) with (end_law (fun u => (1 - K) * (u k - c) ^ 2)) by (apply (variance_scaled d n w y a_t s_t Hw Hs k Hk a_s kept fresh s_s (1 - K) Hv)).
    replace ((1 - / K) * V) with (right_law (fun v => (1 - / K) * (v k - c) ^ 2)) by (apply right_variance; auto).
    apply HL. intros u v. apply Rle_trans with ((u k - v k) ^ 2).
    - set (p := u k - c). set (q := v k - c). replace (u k - v k) with (p - q) by (unfold p, q; ring).
      assert (0 <= (K * p - q) ^ 2 / K) by (apply Rdiv_le_0_compat; [apply pow2_ge_0|auto]).
      replace ((K * p - q) ^ 2 / K) with (K * p ^ 2 - 2 * p * q + / K * q ^ 2) in H by (field; lra). nra.
    - replace ((u k - v k) ^ 2) with ((fun j => vminus u v j * vminus u v j) k) by (unfold vminus; ring). unfold dist2, sq, dot.
      apply (sumn_term d (fun j => vminus u v j * vminus u v j)); auto. intros. apply Rle_0_sqr. }
  unfold spreads_apart. fold V1. assert (HV : 0 <= V) by (unfold V1 in H1; lra).
  destruct HV as [HV|HV].
  - destruct H1 as [H1|H1].
    + set (a := sqrt V1). set (b := sqrt V). assert (Ha : 0 < a) by (apply sqrt_lt_R0; auto). assert (Hb : 0 < b) by (apply sqrt_lt_R0; auto).
      specialize (C (b / a) (Rdiv_lt_0_compat _ _ Hb Ha)). rewrite <- (sqrt_sqrt V1), <- (sqrt_sqrt V) in C by lra. fold a b in C.
      replace ((b - a) ^ 2) with ((1 - b / a) * (a * a) + (1 - / (b / a)) * (b * b)) by (field; lra). exact C.
    + rewrite <- H1 in *. rewrite sqrt_0, Rminus_0_r, pow2_sqrt by lra. apply Rnot_lt_le. intros HLt.
      assert (HK : 0 < 2 * V / (V - L (dist2 d))) by (apply Rdiv_lt_0_compat; lra). specialize (C _ HK).
      replace (/ (2 * V / (V - L (dist2 d)))) with ((V - L (dist2 d)) / (2 * V)) in C by (field; lra).
      replace ((1 - 2 * V / (V - L (dist2 d))) * 0 + (1 - (V - L (dist2 d)) / (2 * V)) * V) with ((V + L (dist2 d)) / 2) in C by (field; lra). lra.
  - assert (E1 : V1 = 0) by (unfold V1 in *; lra). rewrite <- HV, E1, sqrt_0. specialize (C 1 ltac:(lra)). rewrite <- HV, E1 in C. lra.
Qed.

(** The coupling through [x_0] and both noises: [x_s = alpha_s x_0 + kept n + fresh z], n the noise of x_t. It costs [B^2 mmse]. *)
Definition x_right (i : nat) (u z : vec) : vec := fun j => a_s * y i j + kept * (u j - r * y i j) + fresh * z j.
Definition through (q : vec -> vec -> R) : R := J_fresh d n w y a_t s_t (fun i u z => q (step u z) (x_right i u z)).

Theorem F11_upper : through (dist2 d) = lost_var B (mmse d n w y r).
Proof.
  unfold through, J_fresh, lost_var, mmse.
  assert (T : forall i, tame d (fun u => sq d (vminus (y i) (hat d n w y r u)))).
  { intros i. apply (tame_sum d d (fun k u => vminus (y i) (hat d n w y r u) k * vminus (y i) (hat d n w y r u) k)). intros k Hk.
    apply (tame_mult d (fun u => vminus (y i) (hat d n w y r u) k)); apply (tame_minus d (fun _ => y i k)); try apply tame_const; apply tame_hat; auto. }
  rewrite <- (J_scal d n w y a_t s_t (B ^ 2) (fun i u => sq d (vminus (y i) (hat d n w y r u)))) by auto.
  apply J_ext. intros i u _. rewrite (E_ext d _ (fun _ => B ^ 2 * sq d (vminus (y i) (hat d n w y r u)))) by
    (intros z; unfold dist2, sq, dot; rewrite <- sumn_scal; apply sumn_ext; intros j _; unfold vminus, x_right, step_end, ddim, eps_of, weight; field; lra).
  apply E_const.
Qed.

(** Its second law has the moment generating function of [q_s], … *)
Theorem F11_upper_law a : through (fun _ v => exp (dot d a v)) = right_law (fun v => exp (dot d a v)).
Proof.
  unfold through, J_fresh, right_law.
  assert (X : forall c v, (fun z => exp (c + dot d (vscal v a) z)) = (fun z => exp c * exp (dot d (vscal v a) z))) by (intros; apply functional_extensionality; intros; apply exp_plus).
  assert (EX : forall c v, E d (fun z => exp (c + dot d (vscal v a) z)) = exp (c + v ^ 2 * sq d a / 2)).
  { intros c v. rewrite X, E_scal by (apply tame_exp, lip_dot). rewrite E_exp, <- exp_plus, sq_scal. f_equal. field. }
  rewrite (J_ext d n w y a_t s_t _ (fun i u => exp ((a_s - kept * r) * dot d a (y i) + fresh ^ 2 * sq d a / 2) * exp (dot d (vscal kept a) u))).
  - rewrite J_atoms by (intros; apply tame_scal, tame_exp, lip_dot). apply sumn_ext. intros i _. f_equal.
    rewrite (E_ext d _ (fun u => exp ((a_s - kept * r) * dot d a (y i) + fresh ^ 2 * sq d a / 2) * (ratio d (at_r y r i) u * exp (dot d (vscal kept a) u)))) by (intros; ring).
    rewrite E_scal by (apply tame_mult; [apply tame_ratio|apply tame_exp, lip_dot]). rewrite E_ratio_exp.
    rewrite (E_ext d (fun v => exp (dot d a (fun j => a_s * y i j + s_s * v j))) (fun v => exp (a_s * dot d a (y i) + dot d (vscal s_s a) v))).
    + rewrite EX, <- exp_plus. f_equal. unfold at_r. rewrite dot_scal_l, dot_scal_r, sq_scal, (dot_comm d (y i) a), <- Hv. field. lra.
    + intros v. f_equal. unfold dot, vscal. rewrite <- sumn_scal, <- sumn_plus. apply sumn_ext. intros; ring.
  - intros i u _. rewrite (E_ext d _ (fun z => exp ((a_s - kept * r) * dot d a (y i) + dot d (vscal kept a) u + dot d (vscal fresh a) z))).
    + rewrite EX, <- exp_plus. f_equal. ring.
    + intros z. f_equal. unfold x_right, dot, vscal. rewrite <- sumn_scal, <- !sumn_plus. apply sumn_ext. intros; ring.
Qed.

(** … and without fresh noise its expectations are those of [q_s]. *)
Theorem F11_upper_flow h : fresh = 0 -> kept = s_s -> tame d h -> through (fun _ v => h v) = right_law h.
Proof.
  intros Hf Hkept Th. unfold through, J_fresh, right_law. set (A := fun (i : nat) (u : vec) => (fun j => a_s * y i j + s_s * (u j - r * y i j)) : vec).
  assert (TA : forall i, tame d (fun u => h (A i u))).
  { intros i. set (c := fun j => a_s * y i j - s_s * (r * y i j)).
    rewrite (functional_extensionality (fun u : vec => h (A i u)) (fun u => h (vplus (stretch (fun _ => s_s) u) c))).
    - apply (tame_stretch d (fun _ => s_s) (fun v => h (vplus v c))), tame_translate. auto.
    - intros u. f_equal. apply functional_extensionality. intros j. unfold A, vplus, stretch, c. ring. }
  rewrite (J_ext d n w y a_t s_t _ (fun i u => h (A i u))).
  - rewrite J_atoms by auto. apply sumn_ext. intros i _. f_equal. rewrite E_translate by auto. apply E_ext. intros u. f_equal.
    apply functional_extensionality. intros j. unfold A, vplus, at_r, vscal. ring.
  - intros i u _. rewrite (E_ext d _ (fun _ => h (A i u))); [apply E_const|]. intros z. f_equal. apply functional_extensionality. intros j.
    unfold x_right, A. rewrite Hf, Hkept. ring.
Qed.

End Couplings.

(** On a line Gaussian data attain the lower bound: [x_s] and the step's end are Gaussian there, and with one z they are this far apart. *)
Theorem F11_gaussian v lost : 0 <= lost <= v -> E 1 (fun z => (sqrt v * z 0%nat - sqrt (v - lost) * z 0%nat) ^ 2) = spreads_apart v lost.
Proof.
  intros H. rewrite (E_ext 1 _ (fun z => (0 + (sqrt v - sqrt (v - lost)) * z 0%nat) ^ 2)) by (intros; ring). rewrite (noise_square 1 0 ltac:(lia)). unfold spreads_apart. ring.
Qed.

(** Gaussian data keep the least of the variance, and not what every law keeps: two atoms keep more. *)
Theorem F11_twin_every_law : exists n w y a_t s_t a_s kept, 0 < a_t /\ weights n w /\
  J_fresh 1 n w y a_t s_t (fun _ u z => (step_end 1 n w y a_t s_t a_s kept 0 u z 0%nat - a_s * mean n w y 0%nat) ^ 2) <> eta_var (lam n w y 0) a_t s_t a_s kept 0 1.
Proof.
  set (w := fun _ : nat => 1 / 2). set (y := fun (i : nat) (_ : nat) => match i with O => -1 | _ => 1 end).
  assert (Hw : weights 2 w) by (split; [intros; unfold w; lra|unfold w; simpl; lra]).
  exists 2%nat, w, y, 1, 1, 2, 1. split; [lra|]. split; auto. apply Rgt_not_eq.
  enough (X : eta_var (lam 2 w y 0) 1 1 2 1 (0 ^ 2) 1 < J_fresh 1 2 w y 1 1 (fun _ u z => (step_end 1 2 w y 1 1 2 1 0 u z 0%nat - 2 * mean 2 w y 0%nat) ^ 2))
    by (replace (0 ^ 2) with 0 in X by ring; exact X).
  apply (F11_strict 1 2 w y 1 1 Hw ltac:(lra) 0 ltac:(lia) 2 1 0 1); try lra.
  - unfold lam, xi, mean, vsum, vscal, vminus, w, y. simpl. lra.
  - unfold weight. lra.
Qed.

(** False twins, continued, and statements about numbers that need the golden law. *)

From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Interval Require Import Tactic.
From Singdiffusion Require Import Base Gaussian Space Mixture Divergence Formulas A B Posterior D_time Info Info_rate Golden C_start Twins_B.
Local Open Scope R_scope.

(** B4: without the half *)
Theorem B4_twin_no_half : ~ is_RInt (fun h => trC 1 2 signs_p signs_y - mmse 1 2 signs_p (xi 2 signs_p signs_y) (sqrt h)) 0 4
  (KL 1 2 signs_p (shift 2 signs_p signs_y 4)).
Proof.
  intros H. assert (Hw : weights 2 signs_p) by (split; [intros; unfold signs_p; lra|unfold signs_p; simpl; lra]).
  pose proof (B4_immse 1 2 signs_p signs_y Hw 4 ltac:(lra)) as B. apply (is_RInt_scal _ _ _ (/ 2)) in H.
  assert (B' : is_RInt (fun h => scal (/ 2) (trC 1 2 signs_p signs_y - mmse 1 2 signs_p (xi 2 signs_p signs_y) (sqrt h))) 0 4 (KL 1 2 signs_p (shift 2 signs_p signs_y 4))).
  { apply (is_RInt_ext (fun h => (trC 1 2 signs_p signs_y - mmse 1 2 signs_p (xi 2 signs_p signs_y) (sqrt h)) / 2)); auto.
    intros h _. unfold scal; simpl; unfold mult; simpl. apply Rmult_comm. }
  assert (U : / 2 * KL 1 2 signs_p (shift 2 signs_p signs_y 4) = KL 1 2 signs_p (shift 2 signs_p signs_y 4)).
  { transitivity (RInt (fun h => / 2 * (trC 1 2 signs_p signs_y - mmse 1 2 signs_p (xi 2 signs_p signs_y) (sqrt h))) 0 4).
    - symmetry. apply (is_RInt_unique (V := R_CompleteNormedModule)). exact H.
    - apply (is_RInt_unique (V := R_CompleteNormedModule)). exact B'. }
  pose proof B3_twin_quarter as P. assert (0 <= trC 1 2 signs_p signs_y) by (apply trC_nonneg; auto). lra.
Qed.

(** B11: without the half *)
Theorem B11_twin_no_half : ~ is_RInt (fun s => 2 * (s * (4 - s ^ 2) * frob 1 2 signs_p signs_y s)) 0 (sqrt 4) (KL 1 2 signs_p (shift 2 signs_p signs_y 4)).
Proof.
  intros H. assert (Hw : weights 2 signs_p) by (split; [intros; unfold signs_p; lra|unfold signs_p; simpl; lra]).
  pose proof (B11_integral 1 2 signs_p signs_y Hw 4 ltac:(lra)) as B. apply (is_RInt_scal _ _ _ 2) in B.
  assert (U : KL 1 2 signs_p (shift 2 signs_p signs_y 4) = 2 * KL 1 2 signs_p (shift 2 signs_p signs_y 4)).
  { transitivity (RInt (fun s => 2 * (s * (4 - s ^ 2) * frob 1 2 signs_p signs_y s)) 0 (sqrt 4)).
    - symmetry. apply (is_RInt_unique (V := R_CompleteNormedModule)). exact H.
    - apply (is_RInt_unique (V := R_CompleteNormedModule)). exact B. }
  pose proof B3_twin_quarter as P. assert (0 <= trC 1 2 signs_p signs_y) by (apply trC_nonneg; auto). lra.
Qed.

(** C6 and F7: against the N(0, I) of samplers the mean start of the golden law loses at alpha = 0.6, the mean known exactly. *)
Theorem C6_negative : KL_start 1 3 golden_p golden_y (6 / 10) (8 / 10) (fun _ => 0) 1
  - KL_start 1 3 golden_p golden_y (6 / 10) (8 / 10) (vscal (6 / 10) (mean 3 golden_p golden_y)) ((8 / 10) ^ 2) < 0.
Proof.
  rewrite (C6_noise_gain 1 3 golden_p golden_y (6 / 10) (8 / 10) golden_weights ltac:(lra)).
  rewrite tie_noise_start_gain by lra.
  replace (sq 1 (mean 3 golden_p golden_y)) with ((17 / 100) ^ 2).
  2:{ unfold sq, dot, mean, vsum, vscal, golden_p, golden_y. simpl. field. }
  replace (trC 1 3 golden_p golden_y) with (6921 / 10000).
  2:{ unfold trC, sq, dot, xi, mean, vminus, vsum, vscal, golden_p, golden_y. simpl. field. }
  unfold snr_of. simpl INR. interval.
Qed.

Theorem F7_exact_mean_may_lose : Formulas.zero_init_cost (6 / 10) (8 / 10) (sq 1 (mean 3 golden_p golden_y))
  (dist2 1 (mean 3 golden_p golden_y) (mean 3 golden_p golden_y)) (trC 1 3 golden_p golden_y) (INR 1) < 0.
Proof.
  rewrite <- (F7_cost 1 3 golden_p golden_y (6 / 10) (8 / 10) golden_weights ltac:(lra)). exact C6_negative.
Qed.
